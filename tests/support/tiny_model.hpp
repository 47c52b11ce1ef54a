#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/scratch.hpp"

namespace snug::test {

/// The trained model that the repository carries, and its imatrix.
inline std::filesystem::path tiny_model() { return std::filesystem::path{SNUG_SOURCE_DIR} / "models/tiny-f16.gguf"; }
inline std::filesystem::path tiny_imatrix() {
  return std::filesystem::path{SNUG_SOURCE_DIR} / "models/tiny.imatrix.gguf";
}

/// Trained models to test with: the one of the repository, and those beside the project where they are.
inline std::vector<std::string> trained_models() {
  if (shared_folder().empty()) return {"tiny"};
  return {"tiny", "dense", "moe"};
}
inline std::filesystem::path trained_model(const std::string& name) {
  return name == "tiny" ? tiny_model() : shared_folder() / "models" / (name + "-f16.gguf");
}
inline std::filesystem::path trained_imatrix(const std::string& name) {
  return name == "tiny" ? tiny_imatrix() : shared_folder() / "models" / (name + ".imatrix.gguf");
}

}  // namespace snug::test

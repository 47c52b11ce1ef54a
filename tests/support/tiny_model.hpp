#pragma once

#include <filesystem>

namespace snug::test {

/// The trained model that the repository carries, and its imatrix.
inline std::filesystem::path tiny_model() { return std::filesystem::path{SNUG_SOURCE_DIR} / "models/tiny-f16.gguf"; }
inline std::filesystem::path tiny_imatrix() {
  return std::filesystem::path{SNUG_SOURCE_DIR} / "models/tiny.imatrix.gguf";
}

}  // namespace snug::test

#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace snug::cli {

/// What there is to say of a file, for people and for programs.
struct Inspection {
  std::string text;             // lines of at most 100 columns
  nlohmann::ordered_json json;  // {"kind": "model" | "imatrix" | "state" | "recipe", ...}
};

/// Looks at a model, an imatrix (GGUF or legacy), a state or a recipe. Reads no tensor data of a model and
/// changes nothing. Throws Error for damaged and for foreign files.
Inspection inspect(const std::filesystem::path& path);

}  // namespace snug::cli

#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "artifact/artifact.hpp"
#include "plan/mlx_recipe.hpp"

namespace snug::cli {

/// A recipe for MLX by modules: a line for each with its mode and bytes, a line for every mode, then the sizes and both
/// ways of counting bits per weight.
std::string module_report(const ModuleTable& table, const Recipe& recipe, const FileLayout& files);

/// The same as JSON; sizes in bytes. "tensor_bytes" is the data of all tensors, "file_bytes" all files with weights.
nlohmann::ordered_json module_report_json(const ModuleTable& table, const Recipe& recipe, const FileLayout& files);

}  // namespace snug::cli

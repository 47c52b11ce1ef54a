#pragma once

#include <filesystem>

#include "snug/model.hpp"
#include "gguf/writer.hpp"
#include "imatrix/importance.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// Where every byte of the output of `recipe` will lie. The header's size does not depend on the formats chosen, so a
/// recipe of source formats tells it before planning.
gguf::Layout output_layout(const ModelSource& model, const Importance* importance, const Recipe& recipe,
                           const std::filesystem::path& path);

}  // namespace snug

#pragma once

#include <filesystem>

#include "gguf/reader.hpp"
#include "gguf/writer.hpp"
#include "imatrix/importance.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// Where every byte of the output of `recipe` will lie. The header's size does not depend on the formats chosen, so a
/// recipe of source formats tells it before planning.
gguf::Layout output_layout(const gguf::Reader& model, const Importance* importance, const Recipe& recipe,
                           const std::filesystem::path& path);

/// Throws Error where the files, as `recipe` says, would be larger than the budget that it names: it was
/// changed by hand.
void check_within_budget(const gguf::Reader& model, const Importance* importance, const Recipe& recipe);

}  // namespace snug

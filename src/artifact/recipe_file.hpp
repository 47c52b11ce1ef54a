#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "snug/recipe.hpp"

namespace snug {

/// The name under which the folder of a model for MLX holds its recipe.
inline constexpr std::string_view kRecipeInFolder = "snug.json";

/// A recipe's own file, or that of a model which was made by one and says so: a GGUF file, the folder of a model for MLX.
/// Throws Error where it is neither; `remedy` then tells where a recipe is to be had.
Recipe read_recipe(const std::filesystem::path& path, const std::string& remedy = "check the name");

}  // namespace snug

#pragma once

#include <optional>
#include <vector>

#include "model/output_key.hpp"
#include "snug/model.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// What a GGUF file says of its recipe (docs/recipe.md lists the keys). Values that are known only once the recipe has
/// been run or judged take the same bytes before as after, so that sizes are exact while one is planned.
std::vector<OutputKey> recipe_keys(const Recipe& recipe);

/// The recipe of a file, from those keys and its tensors, complete but for RecipeTensor::unweighted and Recipe::left_out:
/// carried out, it gives the same bytes again. Nothing where the file was not made from a recipe, or without its notes.
/// Throws Error where a key is of another kind, a loss is no number, or the recipe's digest tells that something is not
/// there: folds, which files do not hold.
std::optional<Recipe> recipe_of_file(const ModelSource& file);

/// llama.cpp's number for the kind of file: a preset's own, else that of the preset nearest in bits per weight among
/// those whose base format the file has. Only a label.
uint32_t file_type_of(const Recipe& recipe);

}  // namespace snug

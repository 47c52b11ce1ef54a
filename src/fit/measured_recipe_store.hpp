#pragma once

#include <string>
#include <vector>

#include "recipe/measured_recipe.hpp"
#include "snug/state.hpp"

namespace snug {

/// Puts it among the notes of `state`, one a recipe (by `recipe_digest`) of a model.
void save_judged(Store& state, const std::string& model_digest, const std::string& recipe_digest,
                 const MeasuredRecipe& recipe);

/// All of the model, by size. Throws Error on one that is malformed.
std::vector<MeasuredRecipe> judged_recipes(const Store& state, const std::string& model_digest,
                                         const std::string& where);

}  // namespace snug

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recipe/measured_recipe.hpp"
#include "snug/evaluated_recipe.hpp"
#include "snug/state.hpp"

namespace snug {

/// The same with what its run told beside the divergence, where that is known.
MeasuredRecipe with_scores(MeasuredRecipe recipe, const std::optional<TextScores>& scores);

/// Puts it among the notes of `state`, one a recipe (by `recipe_digest`) of a model.
void save_judged(Store& state, const std::string& model_digest, const std::string& recipe_digest,
                 const MeasuredRecipe& recipe);

/// All of the model, by size. Throws Error on one that is malformed.
std::vector<MeasuredRecipe> judged_recipes(const Store& state, const std::string& model_digest,
                                         const std::string& where);

}  // namespace snug

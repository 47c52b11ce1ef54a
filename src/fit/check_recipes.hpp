#pragma once

#include <vector>

#include "fit/measured_recipe_store.hpp"
#include "snug/model.hpp"
#include "imatrix/importance.hpp"
#include "measure/recipe_evaluator.hpp"
#include "snug/profile.hpp"

namespace snug {

/// Runs about `count` whole recipes to see how far the profile's predictions hold: a third of them optimal
/// for budgets from 2.1 to 8 bits per weight, up to a third presets of llama.cpp, the rest random formats of
/// about one size. On the judge's chunks from `first` on; what was run is a record of the judge's state, and
/// each result is put among the notes of `state` as it comes. The same recipes for the same profile
/// everywhere.
std::vector<MeasuredRecipe> check_recipes(const Profile& profile, const ModelSource& model,
                                        const Importance* importance, RecipeEvaluator& judge, int64_t first,
                                        int64_t count, Store& state);

}  // namespace snug

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/plan.hpp"
#include "measure/recipe_evaluator.hpp"
#include "snug/evaluated_recipe.hpp"
#include "snug/plan_options.hpp"

namespace snug {

struct RefineOptions {
  int64_t tuning = 8;       // first chunks of the text: corrections are learnt from them
  int64_t holdout_first = 24;  // chunks from here to the end are those that nothing is learnt from: they decide
  int rounds = 3;           // corrections tried, at most
  double tolerance = 0.12;  // |ln(measured / predicted)| below which losses add up well enough
  bool presets = true;      // compare with the best preset of the size
  std::span<const RecipeFold> folds{};  // that made the model what it is, for the recipe
  Solver solver = solve_anew;
  const Hessians* moments = nullptr;  // of inputs: encode with error feedback, if that proves better
};

struct RefinedPlan {
  Plan plan;  // the one to write
  std::vector<EvaluatedRecipe> judged;
  int64_t holdout_tokens = 0;
  const EvaluatedRecipe& best() const;
};

/// Plans, measures the plan as a whole, and mends what did not add up.
///
/// Where the measured divergence is off the predicted one, one reverse pass at the recipe tells what share each tensor has
/// in it on the tuning chunks: that, over what was predicted for it, corrects its losses; then the knapsack is solved
/// again. A corrected plan is taken only if its divergence on the held-out chunks is lower by more than the standard error
/// of the paired difference, and so are error feedback and the preset of llama.cpp that promises least loss within the
/// budget (not run where that is four times what was measured). Stops by itself. Everything run is in the judge's state.
RefinedPlan refine_plan(const Profile& profile, const ModelSource& model, const Importance* importance,
                      const PlanOptions& options, RecipeEvaluator& judge, const RefineOptions& loop);

/// Puts what was measured among the notes of `state`, for reports.
void save_judgements(Store& state, const RefinedPlan& result);

/// Formats of the tensors that `recipe` changes.
TensorFormats formats_of(const Recipe& recipe);

}  // namespace snug

#pragma once

#include <optional>

#include "fold/choose.hpp"
#include "imatrix/hessian.hpp"
#include "imatrix/importance.hpp"
#include "snug/measure_options.hpp"
#include "snug/model.hpp"
#include "snug/plan_options.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// A model as folds make it; what is known of its inputs follows.
struct FoldedModel {
  std::vector<RecipeFold> folds;  // none: nothing gained, and the model is as it was
  ModelSource model;
};

/// Throws Error where the model would have to be read layer by layer to be run: a folded one is held in memory.
void check_folded_runs(const ModelSource& model);

/// Folds chosen for formats. `importance` and `moments` (may be nullptr) become those of the folded model. Throws Error
/// where there is no importance.
FoldedModel fold_model(const ModelSource& model, std::optional<Importance>& importance, Hessians* moments,
                       const LikelyFormat& format);

/// The same with the folds of a recipe.
FoldedModel fold_model(const ModelSource& model, std::optional<Importance>& importance, Hessians* moments,
                       std::span<const RecipeFold> folds);

/// The format among those a runtime loads that takes about what the plans allow: of each tensor's candidates the nearest.
/// Without plans that of four bits and a half.
LikelyFormat likely_format(const ModelSource& model, const MeasureOptions& measuring,
                           std::span<const PlanOptions> plans);

}  // namespace snug

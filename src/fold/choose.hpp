#pragma once

#include <functional>
#include <span>
#include <vector>

#include "fold/fold.hpp"
#include "imatrix/importance.hpp"
#include "snug/model.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// The format a tensor is likely to get; its own where it will not be quantized.
using LikelyFormat = std::function<FormatId(const Tensor&)>;

/// For each pair of the model the powers, of a few, at which its readers lose least in their likely formats, on a sample
/// of rows; those of pairs where that is worth it. Logs which tensors take part. One thread a pair.
/// Throws Error where the importance knows none of the readers, or nothing is known of the architecture.
std::vector<RecipeFold> choose_folds(const ModelSource& model, const Importance& importance,
                                     const LikelyFormat& format);

/// What a recipe's folds are, with the importance they were chosen by. Throws Error naming a pair that the model lacks.
Fold fold_of(const ModelSource& model, const Importance& importance, std::span<const RecipeFold> folds);

}  // namespace snug

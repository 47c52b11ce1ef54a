#include "fit/folding.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/memory.hpp"
#include "encode/candidates.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr double kUsualBits = 4.5;

Importance& needed(std::optional<Importance>& importance, const ModelSource& model) {
  if (importance) return *importance;
  throw Error{"folds are made from an imatrix, and there is none", model.path().string(),
              "name one, or let the model be run: `snug imatrix` makes one", Fault::usage};
}

FoldedModel folded(const ModelSource& model, Importance& importance, Hessians* moments, std::vector<RecipeFold> folds) {
  if (folds.empty()) return {{}, model};
  const Fold fold = fold_of(model, importance, folds);
  fold.divide_inputs(importance);
  if (moments) fold.divide_inputs(*moments);
  return {std::move(folds), fold.of(model)};
}

/// Bits per weight that the smallest of the plans allows.
double bits_of(const ModelSource& model, std::span<const PlanOptions> plans) {
  int64_t weights = 0;
  for (const Tensor& tensor : model.tensors()) weights += tensor.weights();
  double bits = plans.empty() ? kUsualBits : 32;
  for (const PlanOptions& plan : plans)
    bits = std::min(bits, 8 * static_cast<double>(plan.budget.bytes(weights)) / static_cast<double>(weights));
  return bits;
}

}  // namespace

void check_folded_runs(const ModelSource& model) {
  if (stays_in_memory(model.bytes())) return;
  throw Error{"a folded model is held in memory to be run, and this one does not stay there", model.path().string(),
              "do without folds, or free more memory"};
}

FoldedModel fold_model(const ModelSource& model, std::optional<Importance>& importance, Hessians* moments,
                       const LikelyFormat& format) {
  Importance& known = needed(importance, model);
  return folded(model, known, moments, choose_folds(model, known, format));
}

FoldedModel fold_model(const ModelSource& model, std::optional<Importance>& importance, Hessians* moments,
                       std::span<const RecipeFold> folds) {
  return folded(model, needed(importance, model), moments, {folds.begin(), folds.end()});
}

LikelyFormat likely_format(const ModelSource& model, const MeasureOptions& measuring,
                           std::span<const PlanOptions> plans) {
  const auto wanted = wanted_formats(measuring.formats, measuring.runtime);
  return [wanted, bits = bits_of(model, plans)](const Tensor& tensor) {
    if (!is_quantizable(tensor)) return tensor.format;
    const auto distance = [&](const Format* format) { return std::abs(format->bits_per_weight() - bits); };
    const std::vector<const Format*> candidates = candidates_of(tensor, wanted);
    return (*std::ranges::min_element(candidates, {}, distance))->id;
  };
}

}  // namespace snug

#include "plan/nearest_recipe.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "artifact/quantize_model.hpp"
#include "base/str.hpp"
#include "encode/candidates.hpp"
#include "model/roles.hpp"
#include "plan/plan.hpp"
#include "recipe/target.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

double bits_of(const Tensor& tensor, FormatId format) {
  const BlockShape shape = block_shape(format);
  return shape.block_weights
             ? 8.0 * shape.block_bytes / shape.block_weights
             : 8.0 * static_cast<double>(tensor.row_bytes()) / static_cast<double>(tensor.cols());
}

/// How far a format is from the wanted bits, for a share of all weights: squared, so that a tight budget
/// takes a little from many rather than much from few. A millionth of the format's error on normal weights
/// tells equal bits apart.
int64_t distance(const Tensor& tensor, const Format& format, double wanted_bits, double share) {
  const double apart = bits_of(tensor, format.id) - wanted_bits;
  return pico_nats(share * (apart * apart + 1e-6 * format.rmse_ceiling));
}

/// A recipe whose tensors are looked up by name.
class Wanted {
 public:
  Wanted(const ModelSource& model, const Recipe& recipe, const Target& target)
      : recipe_(recipe), target_(target) {
    for (const RecipeTensor& tensor : recipe.tensors) tensors_[tensor.name] = &tensor;
    for (const Tensor& tensor : model.tensors()) weights_ += static_cast<double>(tensor.weights());
  }

  /// A profile whose losses are distances.
  Profile profile(const ModelSource& model) const {
    const std::vector<const Format*> formats = wanted_formats("", target_.name);
    Profile profile;
    for (const Tensor& tensor : model.tensors())
      if (is_quantizable(tensor) && find_format(tensor.format))
        profile.tensors.push_back(profiled(tensor, formats));
      else
        profile.fixed.push_back({std::string{tensor.name}, tensor.format, tensor.weights(), tensor.bytes()});
    profile.model_digest = recipe_.model_digest;
    profile.imatrix_digest = recipe_.imatrix_digest;
    return profile;
  }

 private:
  ProfiledTensor profiled(const Tensor& tensor, const std::vector<const Format*>& formats) const {
    const RecipeTensor& wanted = *tensors_.at(tensor.name);
    ProfiledTensor profiled;
    profiled.name = tensor.name;
    profiled.role = role_name(role_of(tensor.name));
    profiled.layer = layer_of(tensor.name);
    profiled.cols = tensor.cols();
    profiled.rows = tensor.rows();
    profiled.experts = tensor.experts();
    profiled.source = tensor.format;
    profiled.weighted = !recipe_.imatrix_digest.empty() && !wanted.unweighted;
    for (const Format* format : candidates_of(tensor, formats)) {
      if (format->id != tensor.format && target_.needs_importance(tensor.name, format->id) &&
          !profiled.weighted)
        continue;
      const double share = static_cast<double>(tensor.weights()) / weights_;
      profiled.candidates.push_back({format->id, format->row_bytes(tensor.cols()) * tensor.rows(), 0, 0,
                                     distance(tensor, *format, bits_of(tensor, wanted.format), share)});
    }
    std::ranges::stable_sort(profiled.candidates, {}, &Candidate::bytes);
    return profiled;
  }

  const Recipe& recipe_;
  const Target& target_;
  std::map<std::string_view, const RecipeTensor*> tensors_;
  double weights_ = 0;
};

Budget budget_of(const Recipe& recipe) {
  if (recipe.budget_kind == BudgetKind::file) return Budget::of_file(recipe.budget_bytes);
  if (recipe.budget_kind == BudgetKind::tensors)
    return Budget::of_tensors(8.0 * static_cast<double>(recipe.budget_bytes) /
                              static_cast<double>(recipe.weights));
  return recipe.file_bytes > 0 ? Budget::of_file(recipe.file_bytes)
                               : Budget::of_tensors(recipe.bits_per_weight());
}

/// Distances are no losses: what the recipe costs was not measured.
void forget_losses(Recipe& recipe) {
  recipe.loss_known = false;
  recipe.predicted_loss = recipe.certified_bound = 0;
  recipe.proven_optimal = false;
  for (RecipeTensor& tensor : recipe.tensors) tensor.loss = 0;
}

}  // namespace

Recipe nearest_recipe(const ModelSource& model, const Recipe& recipe, std::string_view runtime,
                      const std::optional<Budget>& budget) {
  check_recipe_fits(model, recipe);
  const Profile profile = Wanted{model, recipe, find_target(runtime)}.profile(model);
  PlanOptions options;
  options.runtime = runtime;
  options.split_bytes = recipe.split_bytes;
  options.notes = recipe.notes;
  options.budget = budget ? *budget : budget_of(recipe);
  Recipe nearest = Planner{profile, planned_model(model, nullptr, runtime), options}.plan().recipe;
  forget_losses(nearest);
  nearest.method = str("nearest to ", recipe.method);
  nearest.effort = recipe.effort;
  nearest.error_feedback = recipe.error_feedback;
  return nearest;
}

}  // namespace snug

#include "report/report.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/str.hpp"
#include "model/roles.hpp"
#include "recipe/presets.hpp"
#include "plan/curve.hpp"
#include "plan/predict_loss.hpp"
#include "snug/error.hpp"

namespace snug::report {
namespace {

constexpr double kSharp = 0.15;  // relative standard error of alpha that planning asks of an average tensor

/// "ffn_down" of "blk.3.ffn_down.weight".
std::string label_of(std::string_view name) {
  if (layer_of(name) >= 0) name = name.substr(name.find('.', 4) + 1);
  if (name.ends_with(".weight") && name.size() > 7) name.remove_suffix(7);
  return std::string{name};
}

TensorRow row_of(const RecipeTensor& tensor) {
  TensorRow row;
  row.name = tensor.name;
  row.label = label_of(tensor.name);
  row.role = role_name(role_of(tensor.name));
  row.role_order = static_cast<int>(role_of(tensor.name));
  row.layer = layer_of(tensor.name);
  row.format = tensor.format;
  row.copied = tensor.copied;
  row.bytes = tensor.bytes;
  row.loss = tensor.loss;
  const BlockShape shape = block_shape(tensor.format);
  if (shape.block_bytes > 0) {
    row.weights = tensor.bytes / shape.block_bytes * shape.block_weights;
    row.bits_per_weight = 8.0 * shape.block_bytes / shape.block_weights;
  }
  return row;
}

void add_profile(TensorRow& row, const ProfiledTensor& tensor) {
  row.experts = tensor.experts;
  row.alpha = tensor.alpha;
  row.alpha_error = tensor.alpha_error;
  row.alpha_from = tensor.alpha_from;
  row.weighted = tensor.weighted;
  const auto candidate = std::ranges::find(tensor.candidates, row.format, &Candidate::format);
  if (candidate == tensor.candidates.end()) return;
  row.relative_error = candidate->relative_error;
  row.relative_error_error = candidate->standard_error;
  row.loss_error =
      std::hypot(tensor.alpha_error * candidate->relative_error, tensor.alpha * candidate->standard_error);
}

std::vector<TensorRow> rows_of(const Recipe& recipe, const Profile* profile) {
  std::map<std::string_view, const ProfiledTensor*> profiled;
  if (profile)
    for (const ProfiledTensor& tensor : profile->tensors) profiled[tensor.name] = &tensor;
  double total = 0;
  for (const RecipeTensor& tensor : recipe.tensors) total += tensor.loss;
  std::vector<TensorRow> rows;
  for (const RecipeTensor& tensor : recipe.tensors) {
    TensorRow& row = rows.emplace_back(row_of(tensor));
    if (total > 0) row.loss_share = row.loss / total;
    if (const auto found = profiled.find(tensor.name); found != profiled.end())
      add_profile(row, *found->second);
  }
  return rows;
}

Certainty certainty_of(const std::vector<TensorRow>& rows) {
  Certainty certainty;
  double variance = 0, sampling = 0;
  for (const TensorRow& row : rows) {
    if (row.alpha_from.empty()) continue;
    const bool probed = row.alpha_from != "prior";
    const bool sharp = probed && row.alpha_error <= kSharp * row.alpha;
    ++(probed ? certainty.probed : certainty.priors);
    certainty.unweighted += !row.weighted;
    (sharp    ? certainty.share_sharp
     : probed ? certainty.share_probed
              : certainty.share_prior) += row.loss_share;
    variance += row.loss_error * row.loss_error;
    sampling += std::pow(row.alpha * row.relative_error_error, 2);
  }
  certainty.loss_error = std::sqrt(variance);
  certainty.sampling_error = std::sqrt(sampling);
  return certainty;
}

/// Presets that were measured by name alone get what they are predicted to lose.
void fill_predictions(Report& report) {
  for (MeasuredPoint& point : report.measured) {
    const Preset* preset = point.predicted > 0 ? nullptr : find_preset(point.label);
    if (!preset) continue;
    for (const PresetPoint& known : report.presets)
      if (str(", ", known.name, ",").find(str(", ", preset->name, ",")) != std::string::npos) {
        point.predicted = known.loss;
        if (point.bytes == 0) point.bytes = known.file_bytes;
      }
  }
}

void copy_head(Report& report, const Recipe& recipe) {
  report.model_name = recipe.model_name;
  report.architecture = recipe.architecture;
  report.method = recipe.method;
  report.runtime = recipe.runtime;
  report.effort = recipe.effort == Effort::max ? "max" : "normal";
  report.made_by = recipe.made_by;
  report.model_digest = recipe.model_digest;
  report.imatrix_digest = recipe.imatrix_digest;
  report.state_digest = recipe.state_digest;
  report.recipe_digest = recipe_digest(recipe);
  report.error_feedback = recipe.error_feedback;
  report.measured_recipe = recipe.measured;
  report.weights = recipe.weights;
  report.file_bytes = recipe.file_bytes;
  report.tensor_bytes = recipe.tensor_bytes;
  report.budget_kind = recipe.budget_kind;
  report.budget_bytes = recipe.budget_bytes;
  report.bits_per_weight = recipe.bits_per_weight();
  report.predicted_loss = recipe.predicted_loss;
  report.certified_bound = recipe.certified_bound;
  report.proven_optimal = recipe.proven_optimal;
  report.loss_known = recipe.loss_known;
  report.limits = recipe.limits;
}

}  // namespace

Report make_report(const Inputs& inputs) {
  const SavedProfile* saved = inputs.profile ? &*inputs.profile : nullptr;
  if (!inputs.recipe && !saved) throw Error{"nothing to report on", "", "", Fault::usage};
  if (inputs.recipe && saved && inputs.recipe->model_digest != saved->profile.model_digest)
    throw Error{"the recipe and the state are of different models",
                str("model ", inputs.recipe->model_digest, " and ", saved->profile.model_digest),
                "name the state that the recipe was planned with"};
  Recipe recipe = inputs.recipe ? *inputs.recipe : plan_without_model(*saved, inputs.bits_per_weight);
  if (saved && recipe.predicted_loss == 0) predict_loss(saved->profile, recipe);
  Report report;
  copy_head(report, recipe);
  report.from_recipe = inputs.recipe.has_value();
  report.has_profile = saved != nullptr;
  report.tensors = rows_of(recipe, saved ? &saved->profile : nullptr);
  report.certainty = certainty_of(report.tensors);
  report.curve_loss = recipe.predicted_loss;
  if (Recipe as_curve = recipe; saved && predict_loss(saved->profile, as_curve)) report.curve_loss = as_curve.predicted_loss;
  if (saved) {
    report.presets = preset_points(*saved);
    std::vector<int64_t> compared{report.file_bytes};
    for (const PresetPoint& preset : report.presets) compared.push_back(preset.file_bytes);
    report.curve = make_curve(*saved, inputs.budgets, compared);
  }
  report.measured = inputs.measured;
  report.models = inputs.models;
  report.date = inputs.date;
  report.command = inputs.command;
  add_measured(report.models, report.measured);
  fill_predictions(report);
  report.agreement = agreement_of(report.measured);
  return report;
}

const PresetPoint* best_preset_within(const Report& report) {
  const PresetPoint* best = nullptr;
  for (const PresetPoint& preset : report.presets)
    if (preset.file_bytes <= report.file_bytes && (!best || preset.loss < best->loss)) best = &preset;
  return best;
}

}  // namespace snug::report

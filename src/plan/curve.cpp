#include "plan/curve.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/str.hpp"
#include "plan/plan.hpp"
#include "recipe/presets.hpp"

namespace snug {
namespace {

std::string mix_of(const Recipe& recipe) {
  constexpr size_t kShown = 4;
  int64_t all = 0;
  std::map<FormatId, int64_t> by_format;
  for (const RecipeTensor& tensor : recipe.tensors)
    if (!tensor.copied) by_format[tensor.format] += tensor.bytes;
  std::vector<std::pair<int64_t, FormatId>> formats;
  for (const auto& [format, bytes] : by_format) {
    formats.emplace_back(-bytes, format);
    all += bytes;
  }
  std::ranges::sort(formats);
  std::string text;
  for (size_t i = 0; i < std::min(kShown, formats.size()); ++i)
    text += str(i ? ", " : "", format_name(formats[i].second), " ", (-100 * formats[i].first + all / 2) / all,
                " %");
  return formats.size() > kShown ? str(text, ", ", formats.size() - kShown, " more") : text;
}

// --- presets
// -------------------------------------------------------------------------------------------------------

std::vector<PresetTensor> preset_tensors(const Profile& profile) {
  std::vector<PresetTensor> tensors;
  for (const ProfiledTensor& t : profile.tensors)
    tensors.push_back({t.name, t.cols, t.experts, t.source, true});
  for (const UnquantizedTensor& t : profile.fixed) tensors.push_back({t.name, t.weights, 1, t.format, false});
  return tensors;
}

/// The tensor stored as `format`; nothing where that was not measured. Halves and floats lose next to
/// nothing.
std::optional<Candidate> stored_as(const ProfiledTensor& tensor, FormatId format) {
  const auto found = std::ranges::find(tensor.candidates, format, &Candidate::format);
  if (found != tensor.candidates.end()) return *found;
  const BlockShape shape = block_shape(format);
  if (shape.block_weights != 1) return std::nullopt;
  Candidate candidate;
  candidate.format = format;
  candidate.bytes = tensor.cols * tensor.rows * shape.block_bytes;
  return candidate;
}

/// `copy` with the formats of the preset; nothing where one of them was not measured.
std::optional<Recipe> recipe_of(const Preset& preset, const SavedProfile& saved, const Recipe& copy) {
  const Profile& profile = saved.profile;
  const PresetModel model{saved.architecture, saved.layers,  saved.heads,
                          saved.heads_kv,     saved.experts, !profile.imatrix_digest.empty()};
  const std::vector<FormatId> formats = preset_formats(preset, model, preset_tensors(profile));
  Recipe recipe = copy;
  int64_t loss = 0;
  for (size_t t = 0; t < profile.tensors.size(); ++t) {  // the copy's first tensors are those of the profile
    const auto candidate = stored_as(profile.tensors[t], formats[t]);
    if (!candidate) return std::nullopt;
    RecipeTensor& tensor = recipe.tensors[t];
    recipe.tensor_bytes += candidate->bytes - tensor.bytes;
    tensor = {tensor.name, candidate->format, candidate->bytes, nats(candidate->loss), false};
    loss += candidate->loss;
  }
  recipe.predicted_loss = nats(loss);
  return recipe;
}

/// Budgets for the choices, rising. `also` are file sizes; `beside` is what a file holds besides the choices.
std::vector<int64_t> budgets_of(ReachableBytes range, int count, const std::vector<int64_t>& also, int64_t beside) {
  const double ratio = std::log(static_cast<double>(range.largest) / static_cast<double>(range.smallest));
  std::vector<int64_t> budgets{range.smallest, range.largest};
  for (int i = 1; i + 1 < count; ++i)
    budgets.push_back(std::llround(static_cast<double>(range.smallest) * std::exp(i * ratio / (count - 1))));
  for (const int64_t bytes : also)
    if (bytes - beside > range.smallest && bytes - beside < range.largest) budgets.push_back(bytes - beside);
  std::ranges::sort(budgets);
  return budgets;
}

}  // namespace

std::vector<CurvePoint> make_curve(const SavedProfile& saved, int budgets, const std::vector<int64_t>& also) {
  PlanOptions any_size;
  any_size.budget = Budget::of_file(0);
  const Planner planner{saved, any_size};
  Problem problem = planner.problem();
  const int64_t beside = -problem.budget_bytes;  // what the choices of an empty file would lack
  const SolveOptions fast{.seconds = 1, .gap = 1e-6};
  std::vector<CurvePoint> curve;
  for (const int64_t budget : budgets_of(reachable(problem), budgets, also, beside)) {
    problem.budget_bytes = budget;
    const Solution solution = solve(problem, fast);
    if (solution.pick.empty()) continue;
    const Recipe best = planner.recipe_of(solution.pick);
    if (!curve.empty() && curve.back().file_bytes >= best.file_bytes) continue;
    curve.push_back(
        {best.file_bytes, best.tensor_bytes, best.bits_per_weight(), best.predicted_loss, mix_of(best)});
  }
  return curve;
}

std::vector<PresetPoint> preset_points(const SavedProfile& saved) {
  const PlannedModel model = planned_model(saved);
  std::vector<PresetPoint> points;
  for (const Preset& preset : presets()) {
    const auto recipe = recipe_of(preset, saved, model.copy);
    if (!recipe) continue;
    const int64_t bytes = model.sizes->layout(*recipe).bytes;
    const auto same = std::ranges::find_if(
        points, [&](const PresetPoint& p) { return p.file_bytes == bytes && p.loss == recipe->predicted_loss; });
    if (same != points.end())
      same->name += str(", ", preset.name);
    else
      points.push_back({std::string{preset.name}, bytes, recipe->tensor_bytes, recipe->bits_per_weight(),
                        recipe->predicted_loss});
  }
  std::ranges::stable_sort(points, {}, &PresetPoint::file_bytes);
  return points;
}

Recipe plan_without_model(const SavedProfile& saved, double bits_per_weight) {
  PlanOptions options;
  options.budget = Budget::of_tensors(bits_per_weight);
  return Planner{saved, options}.plan().recipe;
}

}  // namespace snug

#include "plan/curve.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/str.hpp"
#include "base/units.hpp"
#include "recipe/presets.hpp"
#include "snug/error.hpp"
#include "snug/solve.hpp"

namespace snug {
namespace {

constexpr double kPico = 1e-12;

int64_t padded(int64_t bytes) {
  return (bytes + 31) / 32 * 32;
}

/// What one recipe comes to; bytes by format make its mix.
struct Total {
  int64_t padded_bytes = 0, tensor_bytes = 0;
  double loss = 0;
  std::map<FormatId, int64_t> by_format;

  void add(FormatId format, int64_t bytes, double more_loss) {
    tensor_bytes += bytes;
    padded_bytes += padded(bytes);
    loss += more_loss;
    by_format[format] += bytes;
  }
};

int64_t weights_of(const ProfiledTensor& tensor) {
  return tensor.cols * tensor.rows;
}

int64_t weights_of(const Profile& profile) {
  int64_t weights = 0;
  for (const ProfiledTensor& tensor : profile.tensors) weights += weights_of(tensor);
  for (const FixedTensor& tensor : profile.fixed) weights += tensor.weights;
  return weights;
}

Total fixed_part(const Profile& profile) {
  Total total;
  for (const FixedTensor& tensor : profile.fixed) total.add(tensor.format, tensor.bytes, 0);
  total.by_format.clear();
  return total;
}

Problem problem_of(const Profile& profile, bool pad) {
  Problem problem;
  for (const ProfiledTensor& tensor : profile.tensors) {
    auto& choices = problem.tensors.emplace_back();
    for (const Candidate& c : tensor.candidates) choices.push_back({pad ? padded(c.bytes) : c.bytes, c.loss});
  }
  return problem;
}

Total total_of(const Profile& profile, const std::vector<uint16_t>& pick) {
  Total total = fixed_part(profile);
  for (size_t t = 0; t < pick.size(); ++t) {
    const Candidate& c = profile.tensors[t].candidates[pick[t]];
    total.add(c.format, c.bytes, static_cast<double>(c.loss) * kPico);
  }
  return total;
}

double bits(int64_t bytes, int64_t weights) {
  return weights > 0 ? 8.0 * static_cast<double>(bytes) / static_cast<double>(weights) : 0;
}

std::string mix_of(const Total& total) {
  constexpr size_t kShown = 4;
  int64_t all = 0;
  std::vector<std::pair<int64_t, FormatId>> formats;
  for (const auto& [format, bytes] : total.by_format) {
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
  for (const FixedTensor& t : profile.fixed) tensors.push_back({t.name, t.weights, 1, t.format, false});
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
  candidate.bytes = weights_of(tensor) * shape.block_bytes;
  return candidate;
}

std::optional<Total> total_of_preset(const Preset& preset, const SavedProfile& saved,
                                     const std::vector<PresetTensor>& tensors) {
  const Profile& profile = saved.profile;
  const PresetModel model{saved.architecture, saved.layers,  saved.heads,
                          saved.heads_kv,     saved.experts, !profile.imatrix_digest.empty()};
  const std::vector<FormatId> formats = preset_formats(preset, model, tensors);
  Total total = fixed_part(profile);
  for (size_t t = 0; t < profile.tensors.size(); ++t) {
    const auto candidate = stored_as(profile.tensors[t], formats[t]);
    if (!candidate) return std::nullopt;
    total.add(candidate->format, candidate->bytes, static_cast<double>(candidate->loss) * kPico);
  }
  return total;
}

/// Budgets for the choices, rising. `also` are file sizes; `beside` is what a file holds besides the choices.
std::vector<int64_t> budgets_of(Range range, int count, const std::vector<int64_t>& also, int64_t beside) {
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
  const Profile& profile = saved.profile;
  Problem problem = problem_of(profile, true);
  const Range range = reachable(problem);
  const int64_t weights = weights_of(profile);
  const Options fast{.seconds = 1, .gap = 1e-6};
  std::vector<CurvePoint> curve;
  for (const int64_t budget :
       budgets_of(range, budgets, also, saved.header_bytes + fixed_part(profile).padded_bytes)) {
    problem.budget_bytes = budget;
    const Solution solution = solve(problem, fast);
    if (solution.pick.empty()) continue;
    const Total total = total_of(profile, solution.pick);
    const int64_t bytes = saved.header_bytes + total.padded_bytes;
    if (!curve.empty() && curve.back().file_bytes >= bytes) continue;
    curve.push_back(
        {bytes, total.tensor_bytes, bits(total.tensor_bytes, weights), total.loss, mix_of(total)});
  }
  return curve;
}

std::vector<PresetPoint> preset_points(const SavedProfile& saved) {
  const std::vector<PresetTensor> tensors = preset_tensors(saved.profile);
  const int64_t weights = weights_of(saved.profile);
  std::vector<PresetPoint> points;
  for (const Preset& preset : presets()) {
    const auto total = total_of_preset(preset, saved, tensors);
    if (!total) continue;
    const int64_t bytes = saved.header_bytes + total->padded_bytes;
    const auto same = std::ranges::find_if(
        points, [&](const PresetPoint& p) { return p.file_bytes == bytes && p.loss == total->loss; });
    if (same != points.end())
      same->name += str(", ", preset.name);
    else
      points.push_back({std::string{preset.name}, bytes, total->tensor_bytes,
                        bits(total->tensor_bytes, weights), total->loss});
  }
  std::ranges::stable_sort(points, {}, &PresetPoint::file_bytes);
  return points;
}

Recipe plan_without_model(const SavedProfile& saved, double bits_per_weight) {
  const Profile& profile = saved.profile;
  const int64_t weights = weights_of(profile);
  Problem problem = problem_of(profile, false);
  Recipe recipe;
  recipe.budget_kind = "bpw";
  recipe.budget_bytes = std::llround(std::floor(bits_per_weight * static_cast<double>(weights) / 8));
  const int64_t fixed = fixed_part(profile).tensor_bytes;
  problem.budget_bytes = recipe.budget_bytes - fixed;
  const Solution solution = solve(problem);
  if (solution.pick.empty())
    throw Error{str("no recipe has ", bits_per_weight, " bits per weight or fewer"),
                str("the smallest has ", bits(reachable(problem).smallest + fixed, weights)), "raise --bpw",
                Fault::unreachable_budget};
  const Total total = total_of(profile, solution.pick);
  recipe.architecture = saved.architecture;
  recipe.model_name = saved.model_name;
  recipe.model_digest = profile.model_digest;
  recipe.imatrix_digest = profile.imatrix_digest;
  recipe.state_digest = profile.state_digest;
  recipe.method = "optimal";
  recipe.weights = weights;
  recipe.tensor_bytes = total.tensor_bytes;
  recipe.file_bytes = saved.header_bytes + total.padded_bytes;
  recipe.predicted_loss = total.loss;
  recipe.certified_bound = static_cast<double>(solution.certified_bound) * kPico;
  recipe.proven_optimal = solution.stop == Stop::optimal;
  for (size_t t = 0; t < profile.tensors.size(); ++t) {
    const Candidate& c = profile.tensors[t].candidates[solution.pick[t]];
    recipe.tensors.push_back(
        {profile.tensors[t].name, c.format, c.bytes, static_cast<double>(c.loss) * kPico, false,
         !profile.imatrix_digest.empty() && !profile.tensors[t].weighted});
  }
  for (const FixedTensor& t : profile.fixed) recipe.tensors.push_back({t.name, t.format, t.bytes, 0, true});
  return recipe;
}

}  // namespace snug

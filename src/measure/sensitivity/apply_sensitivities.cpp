#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.hpp"
#include "measure/sensitivity/sensitivity.hpp"

namespace snug {
namespace {

/// Where the tensor is damaged enough to tell, and not so much that the quadratic form bends.
constexpr double kMiddleBits = 3.5;

/// loss / rho of the format nearest to the middle: what alpha would say. 0 where none tells.
double alpha_of(const ProfiledTensor& tensor, const TensorSensitivity& found, double& error) {
  double alpha = 0, nearest = INFINITY;
  for (const Candidate& candidate : tensor.candidates) {
    const auto of = found.formats.find(candidate.format);
    const Format* format = find_format(candidate.format);
    if (of == found.formats.end() || !format || !(candidate.relative_error > 0)) continue;
    const double away = std::abs(format->bits_per_weight() - kMiddleBits);
    if (away >= nearest) continue;
    nearest = away;
    alpha = of->second.loss / candidate.relative_error;
    error = of->second.standard_error / candidate.relative_error;
  }
  return alpha;
}

double median(std::vector<double> values) {
  if (values.empty()) return 1.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

constexpr double kMaxCorrection = 3;  // that one probe of few tokens is believed

/// What a forward probe says of the level, over what the reverse pass said of the same format.
double correction(const TensorSensitivity& found, const std::string& name, const ProbeResults& probes) {
  const auto probe = probes.tensors.find(name);
  if (probe == probes.tensors.end() || !(probe->second.kl > 0)) return 1;
  const auto of = found.formats.find(probe->second.format);
  if (of == found.formats.end() || !(of->second.loss > 0)) return 1;
  return std::clamp(probe->second.kl / of->second.loss, 1 / kMaxCorrection, kMaxCorrection);
}

void apply_to(ProfiledTensor& tensor, const TensorSensitivity& found, double by) {
  tensor.alpha = by * alpha_of(tensor, found, tensor.alpha_error);
  tensor.alpha_error *= by;
  tensor.alpha_from = "reverse";
  for (Candidate& candidate : tensor.candidates) {
    const auto of = found.formats.find(candidate.format);
    candidate.loss = pico_nats(of == found.formats.end() ? tensor.alpha * candidate.relative_error
                                                         : by * of->second.loss);
  }
}

void apply_alpha(ProfiledTensor& tensor, const ProbeResults& probes, double scale) {
  const auto probe = probes.tensors.find(tensor.name);
  const bool probed = probe != probes.tensors.end() && probe->second.alpha > 0;
  tensor.alpha = probed ? probe->second.alpha : tensor.alpha * scale;
  tensor.alpha_error = probed ? probe->second.standard_error : 0;
  if (probed) tensor.alpha_from = "probe";
  for (Candidate& candidate : tensor.candidates)
    candidate.loss = pico_nats(tensor.alpha * candidate.relative_error);
}

/// Of the format nearest to three bits.
double damage(const TensorSensitivity& of) {
  double nearest = INFINITY, loss = 0;
  for (const auto& [id, found] : of.formats) {
    const double away = std::abs(find_format(id)->bits_per_weight() - 3);
    if (away >= nearest) continue;
    nearest = away;
    loss = found.loss;
  }
  return loss;
}

}  // namespace

std::vector<std::string> worth_checking(const SensitivityResults& results, size_t count) {
  std::vector<std::pair<double, std::string>> by_damage;
  for (const auto& [name, of] : results.tensors) by_damage.emplace_back(-damage(of), name);
  std::ranges::sort(by_damage);
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(count, by_damage.size()); ++i) names.push_back(by_damage[i].second);
  return names;
}

void apply_sensitivities(Profile& profile, const SensitivityResults& results, const ProbeResults& probes) {
  std::vector<double> ratios;
  for (ProfiledTensor& tensor : profile.tensors) {
    const auto found = results.tensors.find(tensor.name);
    if (found == results.tensors.end()) continue;
    const double prior = tensor.alpha;
    apply_to(tensor, found->second, correction(found->second, tensor.name, probes));
    if (tensor.alpha > 0 && prior > 0) ratios.push_back(tensor.alpha / prior);
  }
  const double scale = median(std::move(ratios));
  for (ProfiledTensor& tensor : profile.tensors)
    if (!results.tensors.contains(tensor.name)) apply_alpha(tensor, probes, scale);
  profile.state_digest =
      Hasher{}.add(profile.state_digest).add(results.digest).add(probes.digest).finish().hex();
}

}  // namespace snug

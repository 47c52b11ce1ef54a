#include <algorithm>
#include <cmath>
#include <vector>

#include "base/digest.hpp"
#include "measure/sensitivity.hpp"

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

}  // namespace

void apply_sensitivities(Profile& profile, const SensitivityResults& results) {
  std::vector<double> ratios;
  std::vector<ProfiledTensor*> others;
  for (ProfiledTensor& tensor : profile.tensors) {
    const auto found = results.tensors.find(tensor.name);
    if (found == results.tensors.end()) {
      others.push_back(&tensor);
      continue;
    }
    double error = 0;
    const double alpha = alpha_of(tensor, found->second, error);
    if (alpha > 0 && tensor.alpha > 0) ratios.push_back(alpha / tensor.alpha);
    tensor.alpha = alpha;
    tensor.alpha_error = error;
    tensor.alpha_from = "reverse";
    for (Candidate& candidate : tensor.candidates) {
      const auto of = found->second.formats.find(candidate.format);
      candidate.loss = of == found->second.formats.end() ? pico_nats(alpha * candidate.relative_error)
                                                         : pico_nats(of->second.loss);
    }
  }
  const double scale = median(std::move(ratios));
  for (ProfiledTensor* tensor : others) {
    tensor->alpha *= scale;
    for (Candidate& candidate : tensor->candidates)
      candidate.loss = pico_nats(tensor->alpha * candidate.relative_error);
  }
  profile.state_digest = Hasher{}.add(profile.state_digest).add(results.digest).finish().hex();
}

}  // namespace snug

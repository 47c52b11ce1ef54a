#include <algorithm>
#include <cmath>
#include <vector>

#include "base/digest.hpp"
#include "measure/probe.hpp"

namespace snug {
namespace {

/// An alpha from few tokens may come out as nothing, where no token reached an expert: a share of the prior
/// is kept.
constexpr double kMinOfPrior = 0.01;

double median(std::vector<double> values) {
  if (values.empty()) return 1.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

/// What brings the priors to the scale of the probes.
double scale_of_priors(const Profile& profile, const ProbeResults& probes) {
  std::vector<double> ratios;
  for (const ProfiledTensor& tensor : profile.tensors) {
    const auto found = probes.tensors.find(tensor.name);
    if (found != probes.tensors.end() && found->second.alpha > 0 && tensor.alpha > 0)
      ratios.push_back(found->second.alpha / tensor.alpha);
  }
  return median(std::move(ratios));
}

}  // namespace

void apply_probes(Profile& profile, const ProbeResults& probes) {
  const double scale = scale_of_priors(profile, probes);
  for (ProfiledTensor& tensor : profile.tensors) {
    const double prior = tensor.alpha * scale;
    const auto found = probes.tensors.find(tensor.name);
    const bool probed = found != probes.tensors.end();
    tensor.alpha = probed ? std::max(found->second.alpha, kMinOfPrior * prior) : prior;
    tensor.alpha_error = probed ? found->second.standard_error : 0;
    if (probed) tensor.alpha_from = "probe";
    for (Candidate& candidate : tensor.candidates)
      candidate.loss = pico_nats(tensor.alpha * candidate.relative_error);
  }
  profile.state_digest = Hasher{}.add(profile.state_digest).add(probes.digest).finish().hex();
}

}  // namespace snug

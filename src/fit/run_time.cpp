#include "fit/run_time.hpp"

#include <algorithm>

#include "calibrate/hessian_budget.hpp"
#include "model/roles.hpp"

namespace snug {
namespace {

constexpr int64_t kChunks = 4;          // that every tensor is run on
constexpr int64_t kTuningChunks = 8;    // that corrections are learnt from
constexpr double kShareOfRun = 0.6;     // of a run that starts where the tensor is, and its head
constexpr double kThereAndBack = 7;     // runs: the original, the recipe, its way back, and each product both ways

/// Weights that a token is multiplied with: of experts those that it is sent to.
double active_weights(const ModelSource& model) {
  const ModelShape shape = shape_of(model);
  const double used = shape.experts > 0 ? static_cast<double>(std::max<int64_t>(1, shape.experts_used)) /
                                              static_cast<double>(shape.experts)
                                        : 1;
  double weights = 0;
  for (const Tensor& tensor : model.tensors()) {
    const bool looked_up = tensor.name == "token_embd.weight" && !shape.tied_output;
    if (!is_quantizable(tensor) || looked_up) continue;
    weights += static_cast<double>(tensor.weights()) * (tensor.experts() > 1 ? used : 1);
  }
  return weights;
}

}  // namespace

double run_seconds(const ModelSource& model, int64_t tokens) {
  return active_weights(model) * static_cast<double>(tokens) / kMultiplyAdds;
}

double seconds_per_tensor_runs(const ModelSource& model, const CalibrationRequest& request) {
  const auto tensors = std::ranges::count_if(model.tensors(), [](const Tensor& t) { return is_quantizable(t); });
  return static_cast<double>(tensors) * kShareOfRun * run_seconds(model, kChunks * request.context);
}

Probing probing_of(const ModelSource& model, const CalibrationRequest& request) {
  if (request.probing != Probing::automatic) return request.probing;
  return seconds_per_tensor_runs(model, request) <= kProbingPatience ? Probing::forward : Probing::reverse;
}

double seconds_of_correcting(const ModelSource& model, const CalibrationRequest& request, int64_t hessian_width) {
  return kThereAndBack * run_seconds(model, kTuningChunks * request.context) + 2 * feedback_seconds(model, hessian_width);
}

bool corrects(const ModelSource& model, const CalibrationRequest& request, int64_t hessian_width) {
  return seconds_of_correcting(model, request, hessian_width) <= kRunPatience;
}

}  // namespace snug

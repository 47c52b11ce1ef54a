#include "fit/evidence.hpp"

#include <utility>

#include "base/events.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "fit/profile_store.hpp"
#include "model/finite_weights.hpp"

namespace snug {
namespace {

void check_reachable(const ModelSource& model, const Importance* importance, const EvidenceRequest& request) {
  if (request.plans.empty()) return;
  const Profile profile = unmeasured_profile(model, request.measuring);
  for (const PlanOptions& plan : request.plans) Planner{profile, model, importance, plan}.check_reachable();
}

void tell_of_state(const std::filesystem::path& path, const Store& state) {
  const int64_t known = state.count(RecordKind::measurement);
  log_line(str("measurements: ", path.string(), ", ", known > 0 ? str(show_count(known), " known") : "none yet"));
}

/// What tensors are measured with. Where it is to be collected the model is run over a text first.
void open_inputs(const ModelSource& model, const EvidenceRequest& request, Evidence& evidence) {
  if (!request.collect_into.empty()) {
    evidence.run = open_calibration(model, request.calibration, evidence.state);
    if (evidence.run)
      evidence.inputs = collect_missing_inputs(request.inputs, {request.collect_into, request.collected_before},
                                               request.feedback, *evidence.run);
  }
  if (!evidence.importance) evidence.importance = load_importance(evidence.inputs, model);
  if (request.feedback != Feedback::off) evidence.moments = load_moments(evidence.inputs);
}

/// The model's own run over a text, after what needs no run is measured and safe.
void probe_tensors(const ModelSource& model, const EvidenceRequest& request, Evidence& evidence) {
  if (request.collect_into.empty()) evidence.run = open_calibration(model, request.calibration, evidence.state);
  if (!evidence.run) return;
  evidence.run->probing.shard = request.measuring.shard;
  evidence.run->probing.shards = request.measuring.shards;
  evidence.probes = apply_calibration(*evidence.run, evidence.profile, evidence.columns(), evidence.state);
}

}  // namespace

Evidence gather(const ModelSource& model, const EvidenceRequest& request) {
  std::optional<Importance> importance;
  if (!request.inputs.imatrix.empty()) importance = load_importance(request.inputs, model);
  check_reachable(model, importance ? &*importance : nullptr, request);
  Evidence evidence{.state = Store::open(request.state, Access::write), .inputs = request.inputs,
                    .importance = std::move(importance)};
  tell_of_state(request.state, evidence.state);
  check_finite_once(model, evidence.state);
  open_inputs(model, request, evidence);
  evidence.profile = measure(model, evidence.columns(), evidence.state, request.measuring, &evidence.measured);
  probe_tensors(model, request, evidence);
  const bool is_whole = request.measuring.shards == 1;  // a shard of several is nothing to report on
  if (is_whole) save_profile(evidence.state, evidence.profile, model, evidence.columns());
  return evidence;
}

}  // namespace snug

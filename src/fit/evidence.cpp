#include "fit/evidence.hpp"

#include <utility>

#include "fit/profile_store.hpp"

namespace snug {
namespace {

void check_reachable(const ModelSource& model, const Importance* importance, const EvidenceRequest& request) {
  if (!request.plan) return;
  Planner{unmeasured_profile(model, request.measuring), model, importance, *request.plan}.check_reachable();
}

/// The model's own run over a text, and what is collected from it where nothing was named.
void open_inputs(const ModelSource& model, const EvidenceRequest& request, Evidence& evidence) {
  evidence.run = open_calibration(model, request.calibration, evidence.state);
  if (evidence.run && !request.collect_into.empty())
    evidence.inputs = collect_missing_inputs(request.inputs, request.collect_into, request.feedback, *evidence.run);
  if (!evidence.importance) evidence.importance = load_importance(evidence.inputs, model);
  if (request.feedback != Feedback::off) evidence.moments = load_moments(evidence.inputs);
}

void measure_and_probe(const ModelSource& model, const EvidenceRequest& request, Evidence& evidence) {
  evidence.profile = measure(model, evidence.columns(), evidence.state, request.measuring, &evidence.measured);
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
  open_inputs(model, request, evidence);
  measure_and_probe(model, request, evidence);
  const bool is_whole = request.measuring.shards == 1;  // a shard of several is nothing to report on
  if (is_whole) save_profile(evidence.state, evidence.profile, model, evidence.columns());
  return evidence;
}

}  // namespace snug

#include "fit/evidence.hpp"

#include <memory>
#include <utility>

#include "base/events.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "fit/folding.hpp"
#include "fit/left_out.hpp"
#include "fit/profile_store.hpp"
#include "model/finite_weights.hpp"
#include "plan/plan.hpp"

namespace snug {
namespace {

void check_reachable(const ModelSource& model, const Importance* importance, const EvidenceRequest& request) {
  if (request.plans.empty()) return;
  const Profile profile = unmeasured_profile(model, request.options.measuring);
  for (const PlanOptions& plan : request.plans) Planner{profile, model, importance, plan}.check_reachable();
}

void tell_of_state(const std::filesystem::path& path, const Store& state) {
  const int64_t known = state.count(RecordKind::measurement);
  log_line(str("measurements: ", path.string(), ", ", known > 0 ? str(show_count(known), " known") : "none yet"));
}

/// Refuses what can be refused before there is a state.
Evidence open_evidence(const ModelSource& model, const EvidenceRequest& request) {
  const EvidenceOptions& options = request.options;
  LoadedInputs given;
  load_inputs(options.inputs, options.feedback, model, given);
  check_reachable(model, given.columns(), request);
  if (options.strict && !std::filesystem::exists(request.state))
    refuse_left_out(decision_now(model, request, given).left_out);
  Evidence evidence{.state = Store::open(request.state, Access::write), .model = model, .files = options.inputs};
  tell_of_state(request.state, evidence.state);
  evidence.decision = decide(model, request, given, evidence.state);
  for (const LeftOut& each : evidence.decision.left_out) log_line(line_of(each));
  evidence.inputs = std::move(given);
  return evidence;
}

void leave_judging_out(const EvidenceRequest& request, Evidence& evidence) {
  if (request.options.strict) refuse_left_out({no_holdout()});
  log_line(line_of(no_holdout()));
  evidence.decision.left_out.push_back(no_holdout());
}

void open_run(const EvidenceRequest& request, Evidence& evidence) {
  const MachineChoices& choices = evidence.decision.choices;
  if (!choices.runs_model) return;
  CalibrationRequest calibration = request.options.calibration;
  if (choices.built_in_text) calibration.text = kBuiltInText;
  evidence.run = open_calibration(evidence.model, calibration, evidence.state);
  evidence.run->probing.resume = str(request.state.string(), ".resume-sweep");
  evidence.run->probing.shard = request.options.measuring.shard;
  evidence.run->probing.shards = request.options.measuring.shards;
  if (request.is_fit() && evidence.run->holdout_chunks == 0) leave_judging_out(request, evidence);
}

/// What was not given, and the model's own run can tell.
void collect_inputs(const EvidenceRequest& request, Evidence& evidence) {
  const int64_t width = evidence.run->holdout_chunks > 0 ? evidence.decision.choices.hessian_width : 0;
  evidence.files = collect_missing_inputs(request.options.inputs, request.collect, width, *evidence.run);
  load_inputs(evidence.files, request.options.feedback, evidence.model, evidence.inputs);
}

/// Everything that follows, the model that is run included, is of the folded model.
void fold(const EvidenceRequest& request, Evidence& evidence) {
  Hessians* moments = evidence.inputs.moments ? &*evidence.inputs.moments : nullptr;
  const LikelyFormat format = likely_format(evidence.model, request.options.measuring, request.plans);
  FoldedModel folded = fold_model(evidence.model, evidence.inputs.importance, moments, format);
  evidence.model = std::move(folded.model);
  evidence.folds = std::move(folded.folds);
  if (evidence.run) evidence.run->model = std::make_unique<infer::Model>(evidence.model);
}

}  // namespace

Evidence gather(const ModelSource& source, const EvidenceRequest& request) {
  const EvidenceOptions& options = request.options;
  Evidence evidence = open_evidence(source, request);
  if (options.fold && evidence.decision.choices.runs_model) check_folded_runs(source);
  check_finite_once(source, evidence.state);
  if (request.is_fit()) open_run(request, evidence);
  keep_decision(source, evidence.decision, evidence.state);
  if (request.is_fit() && evidence.run) collect_inputs(request, evidence);
  if (options.fold) fold(request, evidence);
  evidence.profile =
      measure(evidence.model, evidence.columns(), evidence.state, options.measuring, &evidence.measured);
  if (!request.is_fit()) open_run(request, evidence);  // what needs no run is measured and safe
  if (evidence.run)
    evidence.probes = apply_calibration(*evidence.run, evidence.profile, evidence.columns(), evidence.state);
  const bool is_whole = options.measuring.shards == 1;  // a shard of several is nothing to report on
  if (is_whole) save_profile(evidence.state, evidence.profile, evidence.model, evidence.columns());
  return evidence;
}

}  // namespace snug

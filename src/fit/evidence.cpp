#include "fit/evidence.hpp"

#include <algorithm>
#include <utility>

#include "base/events.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "fit/left_out.hpp"
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

/// Whether it is a fit, which collects what it was not given and judges what it plans.
bool is_fit(const EvidenceRequest& request) {
  return !request.collect_into.empty();
}

ChoiceRequest choice_request(const ModelSource& model, const EvidenceRequest& request, bool has_hessians) {
  ChoiceRequest asked{request.calibration.run, !request.calibration.text.empty()};
  if (!is_fit(request)) return asked;
  if (!has_hessians) asked.feedback = request.feedback;
  int64_t weights = 0;
  for (const Tensor& tensor : model.tensors()) weights += tensor.weights();
  for (const PlanOptions& plan : request.plans)
    asked.output_bytes = std::max(asked.output_bytes, plan.budget.bytes(weights));
  return asked;
}

/// What the machine decides, and what that leaves out.
class Decision {
 public:
  Decision(const ModelSource& model, const EvidenceRequest& request, const Importance* importance, bool has_hessians)
      : model_(model),
        request_(request),
        importance_(importance),
        asked_(choice_request(model, request, has_hessians)) {}

  std::vector<LeftOut> left_out(const MachineChoices& choices) const {
    return left_out_of(model_, request_, importance_, asked_.feedback, choices);
  }
  MachineChoices now() const { return choices_for(model_, asked_, room_now(request_.collect_into)); }

  const ChoiceRequest& asked() const { return asked_; }

  /// Those of an earlier start, unless they are to be made again.
  MachineChoices take(const Store& state) const {
    std::optional<MachineChoices> kept;
    if (!request_.decide_anew) kept = kept_choices(state, model_, asked_);
    if (kept && request_.strict && !left_out(*kept).empty()) kept.reset();
    const MachineChoices choices = kept ? *kept : now();
    if (request_.strict) refuse_left_out(left_out(choices));
    if (kept && !left_out(choices).empty())
      log_line("the memory and disk that were free when this was first started decide, not what is free now");
    return choices;
  }

 private:
  const ModelSource& model_;
  const EvidenceRequest& request_;
  const Importance* importance_;
  ChoiceRequest asked_;
};

void add_left_out(Evidence& evidence, LeftOut left_out) {
  log_line(line_of(left_out));
  evidence.left_out.push_back(std::move(left_out));
}

/// For all later starts, once the work stands on them: one that ended at once for want of memory decides nothing.
void keep_decision(const ModelSource& model, Evidence& evidence) {
  if (evidence.asked.may_run && is_runnable(model)) keep_choices(evidence.state, model, evidence.asked, evidence.choices);
}

void open_run(const ModelSource& model, const EvidenceRequest& request, Evidence& evidence) {
  if (!evidence.choices.runs_model) return;
  CalibrationRequest calibration = request.calibration;
  if (evidence.choices.built_in_text) calibration.text = kBuiltInText;
  evidence.run = open_calibration(model, calibration, evidence.state);
  evidence.run->probing.resume = str(request.state.string(), ".resume-sweep");
  if (!is_fit(request) || evidence.run->holdout_chunks > 0) return;
  if (request.strict) refuse_left_out({no_holdout()});
  add_left_out(evidence, no_holdout());
}

/// What tensors are measured with: a fit collects what it was not given.
void open_inputs(const ModelSource& model, const EvidenceRequest& request, Evidence& evidence) {
  if (is_fit(request) && evidence.run) {
    const int64_t width = evidence.run->holdout_chunks > 0 ? evidence.choices.hessian_width : 0;
    evidence.inputs = collect_missing_inputs(request.inputs, {request.collect_into, request.collected_before},
                                             width, *evidence.run);
  }
  if (!evidence.importance && !evidence.inputs.imatrix.empty())  // that there is none is among what is left out
    evidence.importance = load_importance(evidence.inputs, model);
  if (request.feedback != Feedback::off && !evidence.moments) evidence.moments = load_moments(evidence.inputs);
}

/// Everything that follows, the model that is run included, is of the folded model.
void fold(const ModelSource& model, const EvidenceRequest& request, Evidence& evidence) {
  if (!request.fold) return;
  Hessians* moments = evidence.moments ? &*evidence.moments : nullptr;
  const LikelyFormat format = likely_format(model, request.measuring, request.plans);
  evidence.folded = fold_model(model, evidence.importance, moments, format);
  if (evidence.run) evidence.run->model = std::make_unique<infer::Model>(evidence.folded->model);
}

/// The model's own run over a text, after what needs no run is measured and safe.
void probe_tensors(const ModelSource& model, const EvidenceRequest& request, Evidence& evidence) {
  if (!is_fit(request)) open_run(model, request, evidence);
  if (!evidence.run) return;
  evidence.run->probing.shard = request.measuring.shard;
  evidence.run->probing.shards = request.measuring.shards;
  evidence.probes = apply_calibration(*evidence.run, evidence.profile, evidence.columns(), evidence.state);
}

Evidence open_evidence(const ModelSource& model, const EvidenceRequest& request) {
  std::optional<Importance> importance;
  if (!request.inputs.imatrix.empty()) importance = load_importance(request.inputs, model);
  check_reachable(model, importance ? &*importance : nullptr, request);
  std::optional<Hessians> moments;
  if (request.feedback != Feedback::off) moments = load_moments(request.inputs);
  const Decision decision{model, request, importance ? &*importance : nullptr, moments.has_value()};
  if (request.strict && !std::filesystem::exists(request.state)) refuse_left_out(decision.left_out(decision.now()));
  Evidence evidence{.state = Store::open(request.state, Access::write), .inputs = request.inputs};
  tell_of_state(request.state, evidence.state);
  evidence.asked = decision.asked();
  evidence.choices = decision.take(evidence.state);
  for (LeftOut& each : decision.left_out(evidence.choices)) add_left_out(evidence, std::move(each));
  evidence.importance = std::move(importance);
  evidence.moments = std::move(moments);
  return evidence;
}

}  // namespace

Evidence gather(const ModelSource& source, const EvidenceRequest& request) {
  Evidence evidence = open_evidence(source, request);
  if (request.fold && evidence.choices.runs_model) check_folded_runs(source);
  check_finite_once(source, evidence.state);
  if (is_fit(request)) open_run(source, request, evidence);
  keep_decision(source, evidence);
  open_inputs(source, request, evidence);
  fold(source, request, evidence);
  const ModelSource& model = evidence.weights(source);
  evidence.profile = measure(model, evidence.columns(), evidence.state, request.measuring, &evidence.measured);
  probe_tensors(model, request, evidence);
  const bool is_whole = request.measuring.shards == 1;  // a shard of several is nothing to report on
  if (is_whole) save_profile(evidence.state, evidence.profile, model, evidence.columns());
  return evidence;
}

}  // namespace snug

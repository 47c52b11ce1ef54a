#include "fit/decision.hpp"

#include <algorithm>

#include "base/events.hpp"
#include "fit/left_out.hpp"
#include "fit/run_time.hpp"

namespace snug {
namespace {

ChoiceRequest choice_request(const ModelSource& model, const EvidenceRequest& request, bool has_hessians) {
  const CalibrationRequest& calibration = request.options.calibration;
  ChoiceRequest asked{calibration.run, !calibration.text.empty()};
  if (!request.is_fit()) return asked;
  if (!has_hessians) asked.feedback = request.options.feedback;
  int64_t weights = 0;
  for (const Tensor& tensor : model.tensors()) weights += tensor.weights();
  for (const PlanOptions& plan : request.plans)
    asked.output_bytes = std::max(asked.output_bytes, plan.budget.bytes(weights));
  return asked;
}

class Decider {
 public:
  Decider(const ModelSource& model, const EvidenceRequest& request, const LoadedInputs& given)
      : model_(model),
        request_(request),
        given_(given),
        asked_(choice_request(model, request, given.moments.has_value())) {}

  Decision now() const { return with(choices_for(model_, asked_, room_now(request_.collect.keep))); }

  Decision take(const Store& state) const {
    const std::optional<Decision> kept = kept_in(state);
    const Decision decision = kept ? *kept : now();
    if (request_.options.strict) refuse_left_out(decision.left_out);
    if (kept && !kept->left_out.empty())
      log_line("the memory and disk that were free when this was first started decide, not what is free now");
    return decision;
  }

 private:
  Decision with(const MachineChoices& choices) const {
    const int64_t width = moments_width(choices, given_.moments.has_value());
    return {asked_, choices, corrects(model_, request_.options.calibration, width),
            left_out_of(model_, request_, given_.columns(), asked_.feedback, choices)};
  }

  std::optional<Decision> kept_in(const Store& state) const {
    if (request_.options.decide_anew) return std::nullopt;
    const std::optional<MachineChoices> choices = kept_choices(state, model_, asked_);
    if (!choices) return std::nullopt;
    Decision kept = with(*choices);
    if (request_.options.strict && !kept.left_out.empty()) return std::nullopt;
    return kept;
  }

  const ModelSource& model_;
  const EvidenceRequest& request_;
  const LoadedInputs& given_;
  const ChoiceRequest asked_;
};

}  // namespace

Decision decide(const ModelSource& model, const EvidenceRequest& request, const LoadedInputs& given, const Store& state) {
  return Decider{model, request, given}.take(state);
}

void keep_decision(const ModelSource& model, const Decision& decision, Store& state) {
  if (decision.asked.may_run && is_runnable(model)) keep_choices(state, model, decision.asked, decision.choices);
}

Decision decision_now(const ModelSource& model, const EvidenceRequest& request, const LoadedInputs& given) {
  return Decider{model, request, given}.now();
}

}  // namespace snug

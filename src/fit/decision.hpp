#pragma once

#include <vector>

#include "fit/evidence_request.hpp"
#include "fit/inputs.hpp"
#include "fit/machine_choices.hpp"
#include "snug/model.hpp"
#include "snug/state.hpp"

namespace snug {

/// What is decided when the work begins, once and for all of its starts.
struct Decision {
  ChoiceRequest asked{};
  MachineChoices choices{};         // made for that
  bool corrects = false;            // losses of single tensors, where recipes are judged
  std::vector<LeftOut> left_out{};  // what the choices and the inputs given make worse than it could be
};

/// That of an earlier start, unless it is to be made again, else by what is free now. Throws Error where a strict
/// request would leave something out.
Decision decide(const ModelSource& model, const EvidenceRequest& request, const LoadedInputs& given, const Store& state);

/// For all later starts, once the work stands on it: one that ended at once for want of memory decides nothing.
void keep_decision(const ModelSource& model, const Decision& decision, Store& state);

/// By what is free now, for those who have no state yet.
Decision decision_now(const ModelSource& model, const EvidenceRequest& request, const LoadedInputs& given);

}  // namespace snug

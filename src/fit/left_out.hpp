#pragma once

#include <string>
#include <vector>

#include "fit/evidence_request.hpp"
#include "fit/machine_choices.hpp"
#include "imatrix/importance.hpp"
#include "snug/model.hpp"

namespace snug {

/// What makes the result worse than it could be and was not asked for: by what is given, and by what the machine's
/// choices leave out. The same for the same choices, whatever is free now. `importance` is the one given, nullptr
/// without; `feedback` is off where Hessians are given.
std::vector<LeftOut> left_out_of(const ModelSource& model, const EvidenceRequest& request, const Importance* importance,
                                 Feedback feedback, const MachineChoices& choices);

/// A text of which nothing is left to judge by.
LeftOut no_holdout();

/// Throws Error that names all of it; nothing where there is none.
void refuse_left_out(const std::vector<LeftOut>& all);

/// "error feedback: no room; costs ...": for a log.
std::string line_of(const LeftOut& left_out);

}  // namespace snug

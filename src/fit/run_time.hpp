#pragma once

#include <cstdint>

#include "snug/evidence_options.hpp"
#include "snug/model.hpp"

namespace snug {

/// Running a model tensor by tensor may take so long unasked, of one core however many there are and however much
/// memory: the same model gets the same recipe on every machine.
inline constexpr double kRunPatience = 4 * 3600;  // seconds
/// Running it once for every tensor, which a reverse pass can stand in for, may take so long.
inline constexpr double kProbingPatience = 5 * 60;

inline constexpr double kMultiplyAdds = 2e10;  // a second, of a core of 2023, in exact arithmetic

/// What one core of 2023 takes to run the model over so many tokens, right to a factor of two.
double run_seconds(const ModelSource& model, int64_t tokens);
/// And to run it once for every tensor, on the chunks that every tensor gets, from the block on that it is in.
double seconds_per_tensor_runs(const ModelSource& model, const CalibrationRequest& request);

/// How tensors are probed: forward unless a person chose or it would take longer than kProbingPatience.
Probing probing_of(const ModelSource& model, const CalibrationRequest& request);
/// One round of correcting a plan's losses: there and back through the recipe, encoded twice, with error feedback where
/// inputs up to that width have Hessians (0: none).
double seconds_of_correcting(const ModelSource& model, const CalibrationRequest& request, int64_t hessian_width);
/// Whether they are corrected: where that takes no longer than kRunPatience.
bool corrects(const ModelSource& model, const CalibrationRequest& request, int64_t hessian_width);

}  // namespace snug

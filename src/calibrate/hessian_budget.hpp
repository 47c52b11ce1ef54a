#pragma once

#include <cstdint>
#include <limits>

#include "snug/model.hpp"

namespace snug {

/// What error feedback may take.
struct HessianBudget {
  int64_t bytes = std::numeric_limits<int64_t>::max();       // of second moments
  double seconds = std::numeric_limits<double>::infinity();  // of one core, to encode the model once
  int64_t matrix_bytes = std::numeric_limits<int64_t>::max();  // of one of them, which has to be in memory whole
};

/// The greatest width of inputs such that the second moments of all inputs up to it, and encoding what reads
/// them by encode_second_order(), take no more than that; 0 if the narrowest take more. Told from the
/// tensors' names and shapes alone: q, k and v, and gate and up, share their input. Seconds are about right
/// on a core of 2023.
int64_t max_hessian_width(const ModelSource& model, const HessianBudget& room);

/// Bytes of the second moments of all inputs up to that width; at most what an int64_t holds.
int64_t hessian_bytes(const ModelSource& model, int64_t width);

/// What encoding once by encode_second_order() takes of one core, of all that reads inputs up to that width.
double feedback_seconds(const ModelSource& model, int64_t width);

}  // namespace snug

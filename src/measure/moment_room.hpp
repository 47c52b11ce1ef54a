#pragma once

#include <cstdint>

#include "gguf/reader.hpp"

namespace snug {

/// The greatest width of inputs such that the second moments of all inputs up to it take at most `bytes`; 0
/// if the narrowest take more. Told from the tensors' names and shapes alone: q, k and v, and gate and up,
/// share their input.
int64_t widest_moments_within(const gguf::Reader& model, int64_t bytes);

/// Processor seconds that encode_second_order() takes for all tensors with inputs of at most that width,
/// about: a nanosecond for each weight and column of its row.
double feedback_seconds(const gguf::Reader& model, int64_t width);

}  // namespace snug

#pragma once

#include <cstdint>
#include <vector>

#include "hf/sources.hpp"

namespace snug::hf {

/// Weights of one byte each (FP8, or 8-bit integers) times their scales, as bf16 made on reading. `block`: rows and
/// columns that share a scale; empty: there is one scale for every row, or for the whole matrix. Throws Error naming
/// the tensor where the scales do not fit, or the weights are of another type.
Tensor scaled_codes(const Source& weight, const Source& scale, const std::vector<int64_t>& block);

}  // namespace snug::hf

#pragma once

#include <cstdint>

/// The plainest quantization there is, what stock encodings are measured against: of each group of `group`
/// weights (a multiple of 8) the minimum and a step to the maximum, and codes 0..levels - 1 by one
/// multiplication, rounded to the nearest. Codes stay one to a byte. Vectors of AVX2.
void min_max_pass(const float* x, int64_t count, int64_t group, int levels, uint8_t* codes, float* scales);

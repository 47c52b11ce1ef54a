#pragma once

#include <cstdint>

namespace snug {

/// IEEE binary16 and bfloat16, round to nearest even. NaN stays NaN; overflow becomes infinity.
uint16_t to_f16(float value);
float from_f16(uint16_t bits);
uint16_t to_bf16(float value);
float from_bf16(uint16_t bits);

}  // namespace snug

#pragma once

#include "quant/kernels/plain.hpp"

namespace snug {

/// Every kernel instantiated for V. A format without an encoder here must not be in the table of format.cpp.
template <Simd V>
constexpr Kernels kernels_for(const char* isa) {
  Kernels k{};
  k.isa = isa;
  k.f32 = {encode_f32<V>, decode_f32<V>};
  k.f16 = {encode_f16<V>, decode_f16<V>};
  k.bf16 = {encode_bf16<V>, decode_bf16<V>};
  return k;
}

}  // namespace snug

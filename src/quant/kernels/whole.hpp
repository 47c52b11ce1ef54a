#pragma once

#include "quant/kernels/simd.hpp"

namespace snug {

/// To nearest even for |a| < 2^22. Unlike V::round, quick without SSE4.1 too, and on more ports.
template <Simd V>
typename V::f32 nearest(typename V::f32 a) {
  const auto magic = V::splat(0x1.8p23f);
  return (a + magic) - magic;
}

template <Simd V>
typename V::f32 clamp(typename V::f32 a, int low, int high) {
  return V::min(V::max(a, V::splat(static_cast<float>(low))), V::splat(static_cast<float>(high)));
}

}  // namespace snug

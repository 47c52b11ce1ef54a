#pragma once

#include "quant/kernels/kernels.hpp"
#include "quant/kernels/simd.hpp"

// Arithmetic on rows of floats, element by element: no sum depends on the width of a vector.

namespace snug {

template <Simd V>
void add_scaled(float* y, const float* x, float scale, int64_t n) noexcept {
  const auto s = V::splat(scale);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) V::store(y + i, V::load(y + i) + s * V::load(x + i));
  for (; i < n; ++i) y[i] += scale * x[i];
}

}  // namespace snug

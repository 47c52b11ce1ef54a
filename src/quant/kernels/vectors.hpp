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

template <Simd V>
void add_panel(float* y, const float* panel, int64_t first, const int32_t* row, const float* scale,
               int64_t count) noexcept {
  constexpr int kVectors = kPanelColumns / 8;
  typename V::f32 sum[kVectors];
  for (int v = 0; v < kVectors; ++v) sum[v] = V::load(y + 8 * v);
  for (int64_t i = 0; i < count; ++i) {
    const auto s = V::splat(scale[i]);
    const float* x = panel + (row[i] - first) * kPanelColumns;
    for (int v = 0; v < kVectors; ++v) sum[v] = sum[v] + s * V::load(x + 8 * v);
  }
  for (int v = 0; v < kVectors; ++v) V::store(y + 8 * v, sum[v]);
}

}  // namespace snug

#pragma once

#include "quant/kernels/kernels.hpp"
#include "quant/kernels/simd.hpp"

// What points of a codebook cost under a quadratic form, eight of them side by side.

namespace snug {

/// p[k]: number k of each of eight points.
template <Simd V, int d>
void gather_points(const float* points, const uint16_t* entries, typename V::f32 (&p)[8]) noexcept {
  if constexpr (d == 8) {
    for (int c = 0; c < 8; ++c) p[c] = V::load(points + entries[c] * d);
    V::transpose(p);
  } else {
    const auto first = V::template shl<2>(V::load_u16(entries));
    for (int k = 0; k < d; ++k) p[k] = V::gather(points + k, first);
  }
}

template <Simd V, int d>
void price_points(const float* own, const float* linear, const float* points, const uint16_t* entries,
                  float* prices) noexcept {
  static_assert(d == 4 || d == 8);
  for (int c = 0; c < kPricedPoints; c += 8) {
    typename V::f32 p[8], part[d];
    gather_points<V, d>(points, entries + c, p);
    for (int k = 0; k < d; ++k) {
      auto sum = V::splat(linear[k]);
      for (int j = 0; j < d; ++j) sum = sum + V::splat(own[j * d + k]) * p[j];
      part[k] = sum * p[k];
    }
    if constexpr (d == 8)
      V::store(prices + c, ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7])));
    else
      V::store(prices + c, (part[0] + part[2]) + (part[1] + part[3]));
  }
}

}  // namespace snug

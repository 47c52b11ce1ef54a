// The exact kernels, written once on the compilers' vector type. Compiled by exact_scalar.cpp for the
// baseline processor and by exact_avx2.cpp for AVX2; everything here has internal linkage, so the two cannot
// mix.
#pragma once

#include <cstdint>

#include "infer/exact/exact_kernels.hpp"

namespace snug::infer {
namespace {

using Lanes [[gnu::vector_size(32)]] = float;
using Quarter [[gnu::vector_size(16)]] = float;
using UnalignedLanes [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
using UnalignedQuarter [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;

constexpr int64_t kDepth = 512;  // columns per pass: 16 rows and 48 tokens of them stay in the L2 cache
constexpr int64_t kTokens = 48;

inline float reduce(const float* l) {
  return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
}

/// The sums of four accumulators, each in the order of reduce(): out[i] is that of lanes + 8 * i.
inline void reduce_four(const float* lanes, float* out) {
  Quarter half[4];
  for (int i = 0; i < 4; ++i) {
    const Quarter low = *reinterpret_cast<const UnalignedQuarter*>(lanes + 8 * i);
    const Quarter high = *reinterpret_cast<const UnalignedQuarter*>(lanes + 8 * i + 4);
    half[i] = low + high;
  }
  const Quarter a = __builtin_shufflevector(half[0], half[1], 0, 4, 1, 5);  // transpose
  const Quarter b = __builtin_shufflevector(half[2], half[3], 0, 4, 1, 5);
  const Quarter c = __builtin_shufflevector(half[0], half[1], 2, 6, 3, 7);
  const Quarter d = __builtin_shufflevector(half[2], half[3], 2, 6, 3, 7);
  const Quarter even = __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(c, d, 0, 1, 4, 5);
  const Quarter odd = __builtin_shufflevector(a, b, 2, 3, 6, 7) + __builtin_shufflevector(c, d, 2, 3, 6, 7);
  *reinterpret_cast<UnalignedQuarter*>(out) = even + odd;
}

/// One pass over some columns of a panel.
struct Pass {
  const float* w;
  const float* x;
  int64_t stride;  // of w and x
  int64_t columns;
  bool first, last;
  float* y;
  int64_t y_stride;
  float* partial;  // lane sums between passes, [rows, kTokens, 8]
};

/// Rows [row, row + R) and tokens [token, token + T) of a pass.
template <int R, int T>
inline void tile(const Pass& pass, int64_t row, int64_t token) {
  const float* w = pass.w + row * pass.stride;
  const float* x = pass.x + token * pass.stride;
  float* partial = pass.partial + (row * kTokens + token) * 8;
  Lanes sum[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) {
      if (pass.first)
        sum[r][t] = Lanes{};
      else
        sum[r][t] = *reinterpret_cast<const UnalignedLanes*>(partial + (r * kTokens + t) * 8);
    }
  for (int64_t k = 0; k < pass.columns; k += 8) {
    Lanes in[T];
    for (int t = 0; t < T; ++t) in[t] = *reinterpret_cast<const UnalignedLanes*>(x + t * pass.stride + k);
    for (int r = 0; r < R; ++r) {
      const Lanes weight = *reinterpret_cast<const UnalignedLanes*>(w + r * pass.stride + k);
      for (int t = 0; t < T; ++t) sum[r][t] += weight * in[t];
    }
  }
  if (!pass.last) {
    for (int r = 0; r < R; ++r)
      for (int t = 0; t < T; ++t)
        *reinterpret_cast<UnalignedLanes*>(partial + (r * kTokens + t) * 8) = sum[r][t];
    return;
  }
  for (int t = 0; t < T; ++t) {
    alignas(32) float lanes[R * 8];
    for (int r = 0; r < R; ++r) *reinterpret_cast<UnalignedLanes*>(lanes + 8 * r) = sum[r][t];
    float* y = pass.y + (token + t) * pass.y_stride + row;
    if constexpr (R == 4)
      reduce_four(lanes, y);
    else
      for (int r = 0; r < R; ++r) y[r] = reduce(lanes + 8 * r);
  }
}

template <int R>
inline void tile_rows(const Pass& pass, int64_t row, int64_t tokens) {
  int64_t t = 0;
  for (; t + 3 <= tokens; t += 3) tile<R, 3>(pass, row, t);
  for (; t < tokens; ++t) tile<R, 1>(pass, row, t);
}

void panel(const float* w, int64_t rows, const float* x, int64_t tokens, int64_t stride, float* y,
           int64_t y_stride) {
  alignas(32) float partial[kPanelRows * kTokens * 8];
  for (int64_t t0 = 0; t0 < tokens; t0 += kTokens) {
    const int64_t count = tokens - t0 < kTokens ? tokens - t0 : kTokens;
    for (int64_t k = 0; k < stride; k += kDepth) {
      const bool last = stride - k <= kDepth;
      const Pass pass{w + k,
                      x + t0 * stride + k,
                      stride,
                      last ? stride - k : kDepth,
                      k == 0,
                      last,
                      y + t0 * y_stride,
                      y_stride,
                      partial};
      int64_t r = 0;
      for (; r + 4 <= rows; r += 4) tile_rows<4>(pass, r, count);
      for (; r < rows; ++r) tile_rows<1>(pass, r, count);
    }
  }
}

float dot(const float* a, const float* b, int64_t n) {
  Lanes sum = {};
  int64_t k = 0;
  for (; k + 8 <= n; k += 8)
    sum += *reinterpret_cast<const UnalignedLanes*>(a + k) * *reinterpret_cast<const UnalignedLanes*>(b + k);
  float lanes[8];
  *reinterpret_cast<UnalignedLanes*>(lanes) = sum;
  for (int j = 0; k < n; ++k, ++j) lanes[j] += a[k] * b[k];
  return reduce(lanes);
}

void add_scaled(float* y, const float* x, float scale, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += scale * x[i];
}

}  // namespace
}  // namespace snug::infer

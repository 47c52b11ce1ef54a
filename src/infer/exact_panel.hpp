// The exact kernels, written once on the compilers' vector type. Compiled by exact_scalar.cpp for the
// baseline processor and by exact_avx2.cpp for AVX2; everything here has internal linkage, so the two cannot
// mix.
#pragma once

#include <cstdint>
#include <cstring>

#include "infer/exact_kernels.hpp"

namespace snug::infer {
namespace {

using Lanes [[gnu::vector_size(32)]] = float;

constexpr int64_t kDepth = 512;  // columns per pass: 16 rows and 48 tokens of them stay in the L2 cache
constexpr int64_t kTokens = 48;

/// partial[(r * kTokens + t) * 8 ...] += lane sums of rows r < R and tokens t < T over n columns.
template <int R, int T>
inline void tile(const float* w, const float* x, int64_t stride, int64_t n, float* partial) {
  Lanes sum[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) std::memcpy(&sum[r][t], partial + (r * kTokens + t) * 8, 32);
  for (int64_t k = 0; k < n; k += 8) {
    Lanes in[T];
    for (int t = 0; t < T; ++t) std::memcpy(&in[t], x + t * stride + k, 32);
    for (int r = 0; r < R; ++r) {
      Lanes weight;
      std::memcpy(&weight, w + r * stride + k, 32);
      for (int t = 0; t < T; ++t) sum[r][t] += weight * in[t];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) std::memcpy(partial + (r * kTokens + t) * 8, &sum[r][t], 32);
}

inline float reduce(const float* l) {
  return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
}

template <int R>
inline void tile_rows(const float* w, const float* x, int64_t tokens, int64_t stride, int64_t n,
                      float* partial) {
  int64_t t = 0;
  for (; t + 3 <= tokens; t += 3) tile<R, 3>(w, x + t * stride, stride, n, partial + t * 8);
  for (; t < tokens; ++t) tile<R, 1>(w, x + t * stride, stride, n, partial + t * 8);
}

void panel(const float* w, int64_t rows, const float* x, int64_t tokens, int64_t stride, float* y,
           int64_t y_stride) {
  alignas(32) float partial[kPanelRows * kTokens * 8];
  for (int64_t t0 = 0; t0 < tokens; t0 += kTokens) {
    const int64_t count = tokens - t0 < kTokens ? tokens - t0 : kTokens;
    for (int64_t r = 0; r < rows; ++r)
      std::memset(partial + r * kTokens * 8, 0, static_cast<size_t>(count) * 32);
    for (int64_t k = 0; k < stride; k += kDepth) {
      const int64_t n = stride - k < kDepth ? stride - k : kDepth;
      const float* in = x + t0 * stride + k;
      int64_t r = 0;
      for (; r + 4 <= rows; r += 4)
        tile_rows<4>(w + r * stride + k, in, count, stride, n, partial + r * kTokens * 8);
      for (; r < rows; ++r) tile_rows<1>(w + r * stride + k, in, count, stride, n, partial + r * kTokens * 8);
    }
    for (int64_t t = 0; t < count; ++t)
      for (int64_t r = 0; r < rows; ++r) y[(t0 + t) * y_stride + r] = reduce(partial + (r * kTokens + t) * 8);
  }
}

float dot(const float* a, const float* b, int64_t n) {
  Lanes sum = {};
  int64_t k = 0;
  for (; k + 8 <= n; k += 8) {
    Lanes left, right;
    std::memcpy(&left, a + k, 32);
    std::memcpy(&right, b + k, 32);
    sum += left * right;
  }
  float lanes[8];
  std::memcpy(lanes, &sum, 32);
  for (int j = 0; k < n; ++k, ++j) lanes[j] += a[k] * b[k];
  return reduce(lanes);
}

void add_scaled(float* y, const float* x, float scale, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += scale * x[i];
}

}  // namespace
}  // namespace snug::infer

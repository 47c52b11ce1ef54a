// The kernel of the reverse pass, beside exact_panel.hpp and compiled as it is.
#pragma once

#include <cstdint>

#include "infer/exact/exact_panel.hpp"

namespace snug::infer {
namespace {

/// What accumulate() works on: y += g * w.
struct Outer {
  const float* g;
  int64_t g_stride;
  const float* w;
  int64_t depth, w_stride;
  float* y;
  int64_t y_stride;
};

/// T tokens from `token` on, V vectors of columns from `column` on.
template <int T, int V>
inline void outer_tile(const Outer& o, int64_t token, int64_t column) {
  float* y = o.y + token * o.y_stride + column;
  const float* g = o.g + token * o.g_stride;
  Lanes sum[T][V];
  for (int t = 0; t < T; ++t)
    for (int v = 0; v < V; ++v)
      sum[t][v] = *reinterpret_cast<const UnalignedLanes*>(y + t * o.y_stride + 8 * v);
  for (int64_t r = 0; r < o.depth; ++r) {
    const float* w = o.w + r * o.w_stride + column;
    Lanes row[V];
    for (int v = 0; v < V; ++v) row[v] = *reinterpret_cast<const UnalignedLanes*>(w + 8 * v);
    for (int t = 0; t < T; ++t)
      for (int v = 0; v < V; ++v) sum[t][v] += g[t * o.g_stride + r] * row[v];
  }
  for (int t = 0; t < T; ++t)
    for (int v = 0; v < V; ++v)
      *reinterpret_cast<UnalignedLanes*>(y + t * o.y_stride + 8 * v) = sum[t][v];
}

template <int V>
inline void outer_tokens(const Outer& o, int64_t tokens, int64_t column) {
  int64_t t = 0;
  for (; t + 4 <= tokens; t += 4) outer_tile<4, V>(o, t, column);
  for (; t < tokens; ++t) outer_tile<1, V>(o, t, column);
}

inline void outer_column(const Outer& o, int64_t tokens, int64_t column) {
  for (int64_t t = 0; t < tokens; ++t) {
    float sum = o.y[t * o.y_stride + column];
    for (int64_t r = 0; r < o.depth; ++r) sum += o.g[t * o.g_stride + r] * o.w[r * o.w_stride + column];
    o.y[t * o.y_stride + column] = sum;
  }
}

void accumulate(const float* g, int64_t tokens, int64_t g_stride, const float* w, int64_t depth, int64_t cols,
                int64_t w_stride, float* y, int64_t y_stride) {
  const Outer o{g, g_stride, w, depth, w_stride, y, y_stride};
  int64_t c = 0;
  for (; c + 24 <= cols; c += 24) outer_tokens<3>(o, tokens, c);
  for (; c + 8 <= cols; c += 8) outer_tokens<1>(o, tokens, c);
  for (; c < cols; ++c) outer_column(o, tokens, c);
}

}  // namespace
}  // namespace snug::infer

// The kernel of the reverse pass, beside exact_panel.hpp and compiled as it is.
#pragma once

#include <algorithm>
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

/// Rows of w taken together: those of a few columns, side by side, stay in the L1 cache for all tokens. Where they lie,
/// rows of a power of two all want the same places in it.
constexpr int64_t kPackedRows = 128;

/// T tokens from `token` on, V vectors of columns from `column` on; packed [depth, 8 * V] are theirs of w.
template <int T, int V>
inline void outer_tile(const Outer& o, int64_t token, int64_t column, const float* packed) {
  float* y = o.y + token * o.y_stride + column;
  const float* g = o.g + token * o.g_stride;
  Lanes sum[T][V];
  for (int t = 0; t < T; ++t)
    for (int v = 0; v < V; ++v)
      sum[t][v] = *reinterpret_cast<const UnalignedLanes*>(y + t * o.y_stride + 8 * v);
  for (int64_t r = 0; r < o.depth; ++r) {
    Lanes row[V];
    for (int v = 0; v < V; ++v) row[v] = *reinterpret_cast<const UnalignedLanes*>(packed + (r * V + v) * 8);
    for (int t = 0; t < T; ++t)
      for (int v = 0; v < V; ++v) sum[t][v] += g[t * o.g_stride + r] * row[v];
  }
  for (int t = 0; t < T; ++t)
    for (int v = 0; v < V; ++v)
      *reinterpret_cast<UnalignedLanes*>(y + t * o.y_stride + 8 * v) = sum[t][v];
}

/// All tokens, V vectors of columns. Sums of 4 tokens and 2 vectors leave room in 16 registers for what is added to them.
template <int V>
inline void outer_columns(const Outer& o, int64_t tokens, int64_t column) {
  alignas(32) float packed[kPackedRows * 8 * V];
  for (int64_t r = 0; r < o.depth; ++r) std::copy_n(o.w + r * o.w_stride + column, 8 * V, packed + r * 8 * V);
  int64_t t = 0;
  for (; t + 4 <= tokens; t += 4) outer_tile<4, V>(o, t, column, packed);
  for (; t < tokens; ++t) outer_tile<1, V>(o, t, column, packed);
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
  for (int64_t first = 0; first < depth; first += kPackedRows) {
    const Outer o{g + first, g_stride, w + first * w_stride, std::min(kPackedRows, depth - first), w_stride, y, y_stride};
    int64_t c = 0;
    for (; c + 16 <= cols; c += 16) outer_columns<2>(o, tokens, c);
    for (; c + 8 <= cols; c += 8) outer_columns<1>(o, tokens, c);
    for (; c < cols; ++c) outer_column(o, tokens, c);
  }
}

}  // namespace
}  // namespace snug::infer

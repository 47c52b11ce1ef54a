#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/rows.hpp"
#include "infer/weight.hpp"

namespace snug::infer {

/// From this many tokens on, fast products unpack rows once for all of them: that beats a dot product per
/// token.
inline constexpr int64_t kProductTokens = 5;

/// y[t, r] = sum_k w[matrix, r, k] * x[t, k]:  x [tokens, w.cols] -> [tokens, w.rows].
/// Exact: each sum in the order of ExactKernels, whatever the number of tokens and threads.
/// Fast: activations rounded as PackedFormat says; the number of threads changes nothing, the number of
/// tokens the f32 rounding of sums.
Activations matmul(const Weight& w, int64_t matrix, const Activations& x, Compute compute);

/// Several products with the same x, which is rounded once for all of them.
struct WeightSlice {
  const Weight* weight;
  int64_t matrix;
};
std::vector<Activations> matmul_each(std::span<const WeightSlice> factors, const Activations& x, Compute compute);

/// One row of a matrix as f32, e.g. a token's embedding. out [w.cols]
void decode_row(const Weight& w, int64_t matrix, int64_t row, std::span<float> out);

}  // namespace snug::infer

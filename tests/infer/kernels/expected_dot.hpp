#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/half.hpp"
#include "infer/kernels/activations.hpp"
#include "snug/quantize.hpp"

// What the packed kernels compute, from the definition.

namespace snug::infer::test {

inline std::vector<float> normal_values(std::mt19937_64& random, int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

inline Activations normal_rows(std::mt19937_64& random, int64_t count, int64_t width) {
  Activations rows(count, width);
  std::ranges::copy(normal_values(random, count * width), rows.at(0));
  return rows;
}

/// Blocks as an encoder makes them.
inline std::vector<std::byte> encoded(std::mt19937_64& random, const Format& format, int64_t rows,
                                      int64_t cols) {
  std::vector<std::byte> blocks(static_cast<size_t>(rows * format.row_bytes(cols)));
  const std::vector<float> weights = normal_values(random, rows * cols);
  for (int64_t r = 0; r < rows; ++r)
    format.encode({weights.data() + r * cols, static_cast<size_t>(cols)}, {}, Effort::normal,
                  blocks.data() + r * format.row_bytes(cols));
  return blocks;
}

/// What the kernels round activations to, from the definition.
inline std::vector<double> rounded(Rounding rounding, std::span<const float> x) {
  std::vector<double> out;
  const auto block = static_cast<size_t>(block_of(rounding));
  for (size_t b = 0; b < x.size(); b += block) {
    if (rounding == Rounding::none) out.push_back(static_cast<double>(x[b]));
    if (rounding == Rounding::f16) out.push_back(static_cast<double>(from_f16(to_f16(x[b]))));
    if (rounding == Rounding::bf16) out.push_back(static_cast<double>(from_bf16(to_bf16(x[b]))));
    if (block == 1) continue;
    float most = 0;
    for (size_t k = 0; k < block; ++k) most = std::max(most, std::abs(x[b + k]));
    const float by = most != 0 ? 127.0f / most : 0;
    const float d = rounding == Rounding::blocks32       ? from_f16(to_f16(most / 127.0f))
                    : rounding == Rounding::blocks32_f32 ? most / 127.0f
                    : most != 0                          ? 1.0f / by
                                                         : 0;
    for (size_t k = 0; k < block; ++k)
      out.push_back(static_cast<double>(d) * static_cast<double>(std::nearbyint(x[b + k] * by)));
  }
  return out;
}

struct Expected {
  double value = 0, size = 0;  // size: sum of the magnitudes, what rounding errors are measured against
};

inline Expected expected_dot(const Format& format, Rounding rounding, const std::byte* row,
                             std::span<const float> x) {
  std::vector<float> w(x.size());
  format.decode(row, w);
  const std::vector<double> q = rounded(rounding, x);
  Expected sum;
  for (size_t k = 0; k < x.size(); ++k) {
    sum.value += static_cast<double>(w[k]) * q[k];
    sum.size += std::abs(static_cast<double>(w[k]) * q[k]);
  }
  return sum;
}

/// q4_1 and q5_1 multiply m with a sum rounded to f16; the others are exact but for f32 sums.
inline double tolerance(const Format& format) {
  return format.id == FormatId::q4_1 || format.id == FormatId::q5_1 ? 1e-3 : 3e-6;
}

inline int64_t cols_for(const Format& format, uint64_t seed) {
  const int64_t block = format.block_weights == 1 ? 1 : std::max<int64_t>(format.block_weights, 32);
  if (block == 1) return static_cast<int64_t>(1 + seed * 37 % 300);
  return block * static_cast<int64_t>(1 + seed % 5);
}

}  // namespace snug::infer::test

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/half.hpp"
#include "infer/packed/activations.hpp"
#include "snug/quantize.hpp"

namespace snug::infer {
namespace {

std::vector<float> normal_values(std::mt19937_64& random, int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

Rows normal_rows(std::mt19937_64& random, int64_t count, int64_t width) {
  Rows rows(count, width);
  std::ranges::copy(normal_values(random, count * width), rows.at(0));
  return rows;
}

/// Blocks as an encoder makes them.
std::vector<std::byte> encoded(std::mt19937_64& random, const Format& format, int64_t rows, int64_t cols) {
  std::vector<std::byte> blocks(static_cast<size_t>(rows * format.row_bytes(cols)));
  const std::vector<float> weights = normal_values(random, rows * cols);
  for (int64_t r = 0; r < rows; ++r)
    format.encode({weights.data() + r * cols, static_cast<size_t>(cols)}, {}, Effort::normal,
                  blocks.data() + r * format.row_bytes(cols));
  return blocks;
}

/// What the kernels round activations to, from the definition.
std::vector<double> rounded(Rounding rounding, std::span<const float> x) {
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
    const float d = block == 32 ? from_f16(to_f16(most / 127.0f)) : most != 0 ? 1.0f / by : 0;
    for (size_t k = 0; k < block; ++k)
      out.push_back(static_cast<double>(d) * static_cast<double>(std::nearbyint(x[b + k] * by)));
  }
  return out;
}

struct Expected {
  double value = 0, size = 0;  // size: sum of the magnitudes, what rounding errors are measured against
};

Expected expected_dot(const Format& format, Rounding rounding, const std::byte* row,
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

/// The offset formats (q4_1, q5_1) multiply m with a sum rounded to f16; the others are exact but for f32
/// sums.
double tolerance(const Format& format) {
  return format.id == FormatId::q4_1 || format.id == FormatId::q5_1 ? 1e-3 : 3e-6;
}

int64_t cols_for(const Format& format, uint64_t seed) {
  const int64_t block = format.block_weights;
  if (block == 1) return static_cast<int64_t>(1 + seed * 37 % 300);
  return block * static_cast<int64_t>(1 + seed % 5);
}

TEST(Packed, EveryFormatHasKernelsOnEveryInstructionSet) {
  for (const PackedKernels* kernels : runnable_packed_kernels())
    for (const Format& format : formats())
      EXPECT_TRUE(kernels->find(format.id)) << kernels->isa << format.name;
}

TEST(Packed, DotsAreThoseOfDecodedWeightsAndRoundedActivations) {
  for (const PackedKernels* kernels : runnable_packed_kernels())
    for (const Format& format : formats())
      for (uint64_t seed = 0; seed < 6; ++seed) {
        SCOPED_TRACE(::testing::Message() << kernels->isa << " " << format.name << " seed " << seed);
        std::mt19937_64 random{seed};
        const int64_t cols = cols_for(format, seed), rows = 7;
        const std::vector<std::byte> w = encoded(random, format, rows, cols);
        const Rows x = normal_rows(random, 2, cols);
        const PackedFormat& packed = *kernels->find(format.id);
        const Activations in{*kernels, packed, x, Activations::Use::dots};
        float y[7];
        packed.dots({w.data(), format.row_bytes(cols), rows, cols}, in.row(1), y);
        for (int64_t r = 0; r < rows; ++r) {
          const Expected e =
              expected_dot(format, packed.rounding, w.data() + r * format.row_bytes(cols), x.row(1));
          EXPECT_NEAR(static_cast<double>(y[r]), e.value, tolerance(format) * e.size);
        }
      }
}

TEST(Packed, ProductsAreDotsForEveryShape) {
  for (const PackedKernels* kernels : runnable_packed_kernels())
    for (const Format& format : formats())
      for (uint64_t seed = 0; seed < 6; ++seed) {
        SCOPED_TRACE(::testing::Message() << kernels->isa << " " << format.name << " seed " << seed);
        std::mt19937_64 random{seed};
        const auto rows = static_cast<int64_t>(1 + random() % kProductRows),
                   tokens = static_cast<int64_t>(1 + random() % 40);
        const int64_t cols = cols_for(format, seed), stride = rows + 3;
        const std::vector<std::byte> w = encoded(random, format, rows, cols);
        const Rows x = normal_rows(random, tokens, cols);
        const PackedFormat& packed = *kernels->find(format.id);
        const Activations in{*kernels, packed, x, Activations::Use::product};
        std::vector<float> scratch(static_cast<size_t>(scratch_size(tokens))),
            y(static_cast<size_t>(tokens * stride), 7.0f);
        packed.product({w.data(), format.row_bytes(cols), rows, cols}, in.tiles(), scratch.data(), y.data(),
                       stride);
        for (int64_t t = 0; t < tokens; ++t) {
          for (int64_t r = 0; r < rows; ++r) {
            const Expected e =
                expected_dot(format, packed.rounding, w.data() + r * format.row_bytes(cols), x.row(t));
            ASSERT_NEAR(static_cast<double>(y[static_cast<size_t>(t * stride + r)]), e.value,
                        tolerance(format) * e.size)
                << "token " << t << " row " << r << " of " << rows << " cols " << cols;
          }
          for (int64_t r = rows; r < stride; ++r) ASSERT_EQ(y[static_cast<size_t>(t * stride + r)], 7.0f);
        }
      }
}

/// Any bytes: no undefined behaviour, and the same bits on every instruction set.
TEST(Packed, InstructionSetsAgreeBitForBitOnRandomBlocks) {
  for (const Format& format : formats())
    for (uint64_t seed = 0; seed < 8; ++seed) {
      SCOPED_TRACE(::testing::Message() << format.name << " seed " << seed);
      std::mt19937_64 random{seed};
      const int64_t cols = cols_for(format, seed), rows = 9, tokens = 11;
      std::vector<std::byte> w(static_cast<size_t>(rows * format.row_bytes(cols)));
      for (std::byte& b : w) b = static_cast<std::byte>(random());
      const Rows x = normal_rows(random, tokens, cols);
      std::vector<std::vector<float>> results;
      for (const PackedKernels* kernels : runnable_packed_kernels()) {
        const PackedFormat& packed = *kernels->find(format.id);
        const PackedRows all{w.data(), format.row_bytes(cols), rows, cols};
        std::vector<float> y(static_cast<size_t>(rows * (tokens + 1))),
            scratch(static_cast<size_t>(scratch_size(tokens)));
        const Activations one{*kernels, packed, x, Activations::Use::dots},
            many{*kernels, packed, x, Activations::Use::product};
        packed.dots(all, one.row(0), y.data());
        packed.product(all, many.tiles(), scratch.data(), y.data() + rows, rows);
        for (float& v : y)
          if (std::isnan(v)) v = 0;  // which NaN it is may differ
        results.push_back(std::move(y));
      }
      for (const std::vector<float>& other : results)
        EXPECT_EQ(std::memcmp(other.data(), results[0].data(), 4 * other.size()), 0);
    }
}

/// Rounding must not make a number of what is none.
TEST(Packed, WhatIsNotFiniteStaysSo) {
  for (const PackedKernels* kernels : runnable_packed_kernels())
    for (const Format& format : formats())
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        SCOPED_TRACE(::testing::Message() << kernels->isa << " " << format.name << " " << bad);
        std::mt19937_64 random{5};
        const int64_t cols = 3 * std::max<int64_t>(format.block_weights, 32), rows = 5, tokens = 9;
        const std::vector<std::byte> w = encoded(random, format, rows, cols);
        Rows x = normal_rows(random, tokens, cols);
        x.at(7)[cols - 3] = bad;
        const PackedFormat& packed = *kernels->find(format.id);
        const PackedRows all{w.data(), format.row_bytes(cols), rows, cols};
        const Activations one{*kernels, packed, x, Activations::Use::dots},
            many{*kernels, packed, x, Activations::Use::product};
        std::vector<float> y(static_cast<size_t>(rows)), products(static_cast<size_t>(rows * tokens)),
            scratch(static_cast<size_t>(scratch_size(tokens)));
        packed.dots(all, one.row(7), y.data());
        packed.product(all, many.tiles(), scratch.data(), products.data(), rows);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t r = 0; r < rows; ++r)
            EXPECT_EQ(std::isfinite(products[static_cast<size_t>(t * rows + r)]), t != 7) << t << " " << r;
        for (const float v : y) EXPECT_FALSE(std::isfinite(v));
      }
}

TEST(Packed, RoundsAwkwardActivations) {
  const float tiny = 1e-41f, huge = 3e38f;
  for (const PackedKernels* kernels : runnable_packed_kernels())
    for (const Rounding rounding : {Rounding::blocks32, Rounding::blocks256})
      for (const float value : {0.0f, tiny, huge, -huge}) {
        SCOPED_TRACE(::testing::Message() << kernels->isa << " " << value);
        Rows x(1, 256);
        x.at(0)[3] = value;
        const Activations in{*kernels, {FormatId::f32, rounding}, x, Activations::Use::dots};
        for (int k = 0; k < 256; ++k) {
          EXPECT_LE(std::abs(in.row(0).q[k]), 127);
          if (k != 3) {
            EXPECT_EQ(in.row(0).q[k], 0);
          }
        }
        if (std::abs(value) == huge) {
          EXPECT_EQ(std::abs(in.row(0).q[3]), 127);
        }
      }
}

}  // namespace
}  // namespace snug::infer

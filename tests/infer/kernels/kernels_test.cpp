#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "infer/kernels/expected_dot.hpp"

namespace snug::infer {
namespace {

using namespace test;

TEST(Packed, EveryFormatHasKernelsOnEveryInstructionSet) {
  for (const MatmulKernels* kernels : runnable_packed_kernels())
    for (const Format& format : all_formats())
      EXPECT_TRUE(kernels->find(format.id)) << kernels->isa << format.name;
}

TEST(Packed, DotsAreThoseOfDecodedWeightsAndRoundedActivations) {
  for (const MatmulKernels* kernels : runnable_packed_kernels())
    for (const Format& format : all_formats())
      for (uint64_t seed = 0; seed < 6; ++seed) {
        SCOPED_TRACE(::testing::Message() << kernels->isa << " " << format.name << " seed " << seed);
        std::mt19937_64 random{seed};
        const int64_t cols = cols_for(format, seed), rows = 7;
        const std::vector<std::byte> w = encoded(random, format, rows, cols);
        const Activations x = normal_rows(random, 2, cols);
        const PackedFormat& packed = *kernels->find(format.id);
        const QuantizedActivations in{*kernels, packed, x, QuantizedActivations::Use::dots};
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
  for (const MatmulKernels* kernels : runnable_packed_kernels())
    for (const Format& format : all_formats())
      for (uint64_t seed = 0; seed < 6; ++seed) {
        SCOPED_TRACE(::testing::Message() << kernels->isa << " " << format.name << " seed " << seed);
        std::mt19937_64 random{seed};
        const auto rows = static_cast<int64_t>(1 + random() % kProductRows),
                   tokens = static_cast<int64_t>(1 + random() % 40);
        const int64_t cols = cols_for(format, seed), stride = rows + 3;
        const std::vector<std::byte> w = encoded(random, format, rows, cols);
        const Activations x = normal_rows(random, tokens, cols);
        const PackedFormat& packed = *kernels->find(format.id);
        const QuantizedActivations in{*kernels, packed, x, QuantizedActivations::Use::product};
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
  for (const Format& format : all_formats())
    for (uint64_t seed = 0; seed < 8; ++seed) {
      SCOPED_TRACE(::testing::Message() << format.name << " seed " << seed);
      std::mt19937_64 random{seed};
      const int64_t cols = cols_for(format, seed), rows = 9, tokens = 11;
      std::vector<std::byte> w(static_cast<size_t>(rows * format.row_bytes(cols)));
      for (std::byte& b : w) b = static_cast<std::byte>(random());
      const Activations x = normal_rows(random, tokens, cols);
      std::vector<std::vector<float>> results;
      for (const MatmulKernels* kernels : runnable_packed_kernels()) {
        const PackedFormat& packed = *kernels->find(format.id);
        const PackedRows all{w.data(), format.row_bytes(cols), rows, cols};
        std::vector<float> y(static_cast<size_t>(rows * (tokens + 1))),
            scratch(static_cast<size_t>(scratch_size(tokens)));
        const QuantizedActivations one{*kernels, packed, x, QuantizedActivations::Use::dots},
            many{*kernels, packed, x, QuantizedActivations::Use::product};
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
  for (const MatmulKernels* kernels : runnable_packed_kernels())
    for (const Format& format : all_formats())
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        SCOPED_TRACE(::testing::Message() << kernels->isa << " " << format.name << " " << bad);
        std::mt19937_64 random{5};
        const int64_t cols = 3 * std::max<int64_t>(format.block_weights, 32), rows = 5, tokens = 9;
        const std::vector<std::byte> w = encoded(random, format, rows, cols);
        Activations x = normal_rows(random, tokens, cols);
        x.at(7)[cols - 3] = bad;
        const PackedFormat& packed = *kernels->find(format.id);
        const PackedRows all{w.data(), format.row_bytes(cols), rows, cols};
        const QuantizedActivations one{*kernels, packed, x, QuantizedActivations::Use::dots},
            many{*kernels, packed, x, QuantizedActivations::Use::product};
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
  for (const MatmulKernels* kernels : runnable_packed_kernels())
    for (const Rounding rounding : {Rounding::blocks32, Rounding::blocks256, Rounding::blocks32_f32})
      for (const float value : {0.0f, tiny, huge, -huge}) {
        SCOPED_TRACE(::testing::Message() << kernels->isa << " " << value);
        Activations x(1, 256);
        x.at(0)[3] = value;
        const QuantizedActivations in{*kernels, {FormatId::f32, rounding}, x, QuantizedActivations::Use::dots};
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

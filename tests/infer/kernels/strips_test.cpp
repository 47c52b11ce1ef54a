#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "base/large_memory.hpp"
#include "infer/kernels/expected_dot.hpp"

namespace snug::infer {
namespace {

using namespace test;

/// Rows of a format and the same repacked.
struct Strips {
  const RepackedFormat& format;
  int64_t rows, cols;
  LargeMemory memory;

  Strips(const RepackedFormat& f, const Format& from, const std::vector<std::byte>& blocks, int64_t r,
         int64_t c)
      : format{f}, rows{r}, cols{c}, memory{r * f.row_bytes(c)} {
    format.repack({blocks.data(), from.row_bytes(cols), rows, cols}, memory.data());
  }
  PackedRows packed() const { return {memory.data(), format.row_bytes(cols), rows, cols}; }

  /// Of token 0, then products of all.
  std::vector<float> multiply(const MatmulKernels& kernels, const Activations& x, int64_t stride) const {
    const QuantizedActivations one{kernels, format.products, x, QuantizedActivations::Use::dots},
        many{kernels, format.products, x, QuantizedActivations::Use::product};
    std::vector<float> y(static_cast<size_t>(rows + x.count() * stride), 7.0f),
        scratch(static_cast<size_t>(scratch_size(x.count())));
    format.products.dots(packed(), one.row(0), y.data());
    for (int64_t r = 0; r < rows; r += kProductRows) {
      PackedRows some = packed();
      some.data += r * some.row_bytes;
      some.count = std::min(kProductRows, rows - r);
      format.products.product(some, many.tiles(), scratch.data(), y.data() + rows + r, stride);
    }
    return y;
  }
};

/// f(kernels, repacked, format) for all there are.
template <class F>
void each_repacked(F&& f) {
  for (const MatmulKernels* kernels : runnable_packed_kernels())
    for (const RepackedFormat& repacked : kernels->repacked) {
      const Format& format = *find_format(repacked.products.id);
      SCOPED_TRACE(::testing::Message() << kernels->isa << " " << format.name);
      f(*kernels, repacked, format);
    }
}

TEST(Strips, DotsAndProductsAreThoseOfDecodedWeightsAndRoundedActivations) {
  each_repacked([](const MatmulKernels& kernels, const RepackedFormat& repacked, const Format& format) {
    for (const int64_t tokens : {1, 2, 4, 7, 16, 24, 25, 40}) {
      SCOPED_TRACE(::testing::Message() << tokens << " tokens");
      std::mt19937_64 random{static_cast<uint64_t>(tokens)};
      const auto rows = static_cast<int64_t>(1 + random() % 5) * kStripRows, stride = rows + 3;
      const int64_t cols = cols_for(format, random());
      const std::vector<std::byte> w = encoded(random, format, rows, cols);
      const Activations x = normal_rows(random, tokens, cols);
      const std::vector<float> y = Strips{repacked, format, w, rows, cols}.multiply(kernels, x, stride);
      const auto check = [&](float value, int64_t r, int64_t t) {
        const Expected e =
            expected_dot(format, repacked.products.rounding, w.data() + r * format.row_bytes(cols), x.row(t));
        ASSERT_NEAR(static_cast<double>(value), e.value, tolerance(format) * e.size)
            << "row " << r << " token " << t;
      };
      for (int64_t r = 0; r < rows; ++r) {
        ASSERT_EQ(y[static_cast<size_t>(r)], y[static_cast<size_t>(rows + r)])
            << "the number of tokens changes nothing";
        for (int64_t t = 0; t < tokens; ++t) check(y[static_cast<size_t>(rows + t * stride + r)], r, t);
      }
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t r = rows; r < stride; ++r)
          ASSERT_EQ(y[static_cast<size_t>(rows + t * stride + r)], 7.0f);
    }
  });
}

/// Any bytes: no undefined behaviour, and the same bits on every instruction set that repacks.
TEST(Strips, InstructionSetsAgreeBitForBitOnRandomBlocks) {
  std::map<FormatId, std::vector<float>> first;
  each_repacked([&](const MatmulKernels& kernels, const RepackedFormat& repacked, const Format& format) {
    std::mt19937_64 random{static_cast<uint64_t>(format.id)};
    const int64_t rows = 2 * kStripRows, cols = 3 * std::max<int64_t>(format.block_weights, 32);
    std::vector<std::byte> w(static_cast<size_t>(rows * format.row_bytes(cols)));
    for (std::byte& b : w) b = static_cast<std::byte>(random());
    std::vector<float> y =
        Strips{repacked, format, w, rows, cols}.multiply(kernels, normal_rows(random, 30, cols), rows);
    for (float& v : y)
      if (std::isnan(v)) v = 0;  // which NaN it is may differ
    const std::vector<float>& other = first.try_emplace(format.id, y).first->second;
    EXPECT_EQ(std::memcmp(y.data(), other.data(), 4 * y.size()), 0);
  });
}

TEST(Strips, WhatIsNotFiniteStaysSo) {
  each_repacked([](const MatmulKernels& kernels, const RepackedFormat& repacked, const Format& format) {
    for (const int64_t tokens : {9, 33})
      for (const float bad : {NAN, INFINITY}) {
        std::mt19937_64 random{5};
        const int64_t rows = kStripRows, cols = 3 * std::max<int64_t>(format.block_weights, 32);
        const std::vector<std::byte> w = encoded(random, format, rows, cols);
        Activations x = normal_rows(random, tokens, cols);
        x.at(7)[cols - 3] = bad;
        const std::vector<float> y = Strips{repacked, format, w, rows, cols}.multiply(kernels, x, rows);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t r = 0; r < rows; ++r)
            EXPECT_EQ(std::isfinite(y[static_cast<size_t>(rows + t * rows + r)]), t != 7) << t << " " << r;
      }
  });
}

}  // namespace
}  // namespace snug::infer

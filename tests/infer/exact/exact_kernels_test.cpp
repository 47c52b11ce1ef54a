#include "infer/exact/exact_kernels.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace snug::infer {
namespace {

std::vector<float> random_values(std::mt19937_64& random, int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

std::vector<const ExactKernels*> runnable() {
  std::vector<const ExactKernels*> all{&kExactScalar};
  if (&exact_kernels() != &kExactScalar) all.push_back(&exact_kernels());
  return all;
}

/// The order as the header states it.
float dot_as_defined(const float* a, const float* b, int64_t n) {
  float lane[8] = {};
  for (int64_t k = 0; k < n; ++k) {
    const float product = a[k] * b[k];
    lane[k % 8] += product;
  }
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

TEST(ExactKernels, DotIsTheStatedOrderBitForBit) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random{seed};
    const auto n = static_cast<int64_t>(seed % 3 ? seed : random() % 3000);
    const std::vector<float> a = random_values(random, n), b = random_values(random, n);
    const float expected = dot_as_defined(a.data(), b.data(), n);
    for (const ExactKernels* kernels : runnable())
      EXPECT_EQ(std::bit_cast<uint32_t>(kernels->dot(a.data(), b.data(), n)),
                std::bit_cast<uint32_t>(expected))
          << kernels->isa;
  }
}

TEST(ExactKernels, PanelIsDotForEveryShape) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random{seed};
    const auto rows = static_cast<int64_t>(1 + random() % kPanelRows),
               tokens = static_cast<int64_t>(1 + random() % 100);
    const auto stride = static_cast<int64_t>(8 * (1 + random() % 150)), width = rows + 3;
    const std::vector<float> w = random_values(random, rows * stride),
                             x = random_values(random, tokens * stride);
    for (const ExactKernels* kernels : runnable()) {
      std::vector<float> y(static_cast<size_t>(tokens * width), 7.0f);
      kernels->panel(w.data(), rows, x.data(), tokens, stride, y.data(), width);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t r = 0; r < width; ++r)
          ASSERT_EQ(y[static_cast<size_t>(t * width + r)],
                    r < rows ? dot_as_defined(w.data() + r * stride, x.data() + t * stride, stride) : 7.0f)
              << kernels->isa << " token " << t << " row " << r;
    }
  }
}

TEST(ExactKernels, AddScaledRoundsTheProductFirst) {
  std::mt19937_64 random{1};
  const std::vector<float> x = random_values(random, 77), start = random_values(random, 77);
  for (const ExactKernels* kernels : runnable()) {
    std::vector<float> y = start;
    kernels->add_scaled(y.data(), x.data(), 0.3f, 77);
    for (size_t i = 0; i < y.size(); ++i) {
      const float product = 0.3f * x[i];
      ASSERT_EQ(y[i], start[i] + product);
    }
  }
}

TEST(ExactKernels, AccumulateAddsProductsInTheOrderOfRowsForEveryShape) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random{seed};
    const auto tokens = static_cast<int64_t>(1 + random() % 20), depth = static_cast<int64_t>(1 + random() % 300),
               cols = static_cast<int64_t>(1 + random() % 90);
    const int64_t g_stride = depth + 2, w_stride = cols + 1, y_stride = cols + 3;
    const std::vector<float> g = random_values(random, tokens * g_stride), w = random_values(random, depth * w_stride),
                             start = random_values(random, tokens * y_stride);
    std::vector<float> expected = start;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t r = 0; r < depth; ++r)
        for (int64_t c = 0; c < cols; ++c) {
          const float product = g[static_cast<size_t>(t * g_stride + r)] * w[static_cast<size_t>(r * w_stride + c)];
          expected[static_cast<size_t>(t * y_stride + c)] += product;
        }
    for (const ExactKernels* kernels : runnable()) {
      std::vector<float> y = start;
      kernels->accumulate(g.data(), tokens, g_stride, w.data(), depth, cols, w_stride, y.data(), y_stride);
      EXPECT_EQ(y, expected) << kernels->isa;
    }
  }
}

}  // namespace
}  // namespace snug::infer

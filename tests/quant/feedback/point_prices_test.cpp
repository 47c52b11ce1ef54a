#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "quant/kernels/dispatch.hpp"
#include "quant/kernels/kernels.hpp"

namespace snug {
namespace {

std::vector<float> random_numbers(size_t count, unsigned seed) {
  std::mt19937 random{seed};
  std::normal_distribution<float> normal;
  std::vector<float> numbers(count);
  for (float& x : numbers) x = normal(random);
  return numbers;
}

/// In the order that the kernels keep to.
float price(int d, const float* own, const float* linear, const float* point) {
  std::vector<float> part;
  for (int k = 0; k < d; ++k) {
    float sum = linear[k];
    for (int j = 0; j < d; ++j) sum += own[j * d + k] * point[j];
    part.push_back(sum * point[k]);
  }
  if (d == 4) return (part[0] + part[2]) + (part[1] + part[3]);
  return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

TEST(PointPrices, AreTheSameBitsOnEveryInstructionSet) {
  constexpr uint16_t kPoints = 600;
  for (const size_t d : {size_t{4}, size_t{8}}) {
    const std::vector<float> own = random_numbers(d * d, 1), linear = random_numbers(d, 2),
                             points = random_numbers(kPoints * d, 3);
    std::vector<uint16_t> entries{kPoints - 1, 0};
    while (entries.size() < kPricedPoints) entries.push_back(static_cast<uint16_t>(entries.size() * 37 % kPoints));
    for (const Kernels* kernels : runnable_kernels()) {
      SCOPED_TRACE(kernels->isa);
      std::vector<float> prices(kPricedPoints);
      (d == 4 ? kernels->price_points4 : kernels->price_points8)(own.data(), linear.data(), points.data(), entries.data(),
                                                                 prices.data());
      for (size_t i = 0; i < prices.size(); ++i)
        EXPECT_EQ(prices[i], price(static_cast<int>(d), own.data(), linear.data(), points.data() + entries[i] * d)) << i;
    }
  }
}

}  // namespace
}  // namespace snug

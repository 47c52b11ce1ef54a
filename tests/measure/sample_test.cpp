#include "measure/sample.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace snug {
namespace {

TEST(RowOrder, VisitsEveryRowOnce) {
  for (int64_t rows = 1; rows < 400; ++rows) {
    const RowOrder order{rows};
    std::vector<bool> seen(static_cast<size_t>(rows));
    for (int64_t k = 0; k < rows; ++k) seen[static_cast<size_t>(order[k])] = true;
    EXPECT_TRUE(std::ranges::all_of(seen, std::identity{})) << rows;
  }
}

TEST(RowOrder, EveryPrefixIsSpreadOverTheExperts) {
  constexpr int64_t kExperts = 128, kRows = 768;
  const RowOrder order{kExperts * kRows};
  std::vector<int> hits(kExperts);
  for (int64_t k = 0; k < 4 * kExperts; ++k) ++hits[static_cast<size_t>(order[k] / kRows)];
  EXPECT_GE(*std::ranges::min_element(hits), 3);
  EXPECT_LE(*std::ranges::max_element(hits), 5);
}

TEST(RowOrder, HandlesRowsBeyondThirtyTwoBits) {
  const RowOrder order{int64_t{1} << 40};
  for (int64_t k = 0; k < 1000; ++k) {
    EXPECT_GE(order[k], 0);
    EXPECT_LT(order[k], int64_t{1} << 40);
  }
}

TEST(RatioEstimate, IsExactOnceEveryRowIsIn) {
  RatioEstimate estimate{3};
  estimate.add(1, 10);
  EXPECT_TRUE(std::isinf(estimate.standard_error()));
  estimate.add(2, 30);
  EXPECT_GT(estimate.standard_error(), 0);
  estimate.add(3, 20);
  EXPECT_EQ(estimate.ratio(), 0.1);
  EXPECT_EQ(estimate.standard_error(), 0);
}

TEST(RatioEstimate, ATensorOfZerosHasNoError) {
  RatioEstimate estimate{5};
  estimate.add(0, 0);
  EXPECT_EQ(estimate.ratio(), 0);
  EXPECT_EQ(estimate.standard_error(), 0);
}

TEST(RatioEstimate, TheStandardErrorIsThatOfRepeatedSamples) {
  constexpr int64_t kPopulation = 2000, kSample = 200;
  std::mt19937_64 random{7};
  std::lognormal_distribution<double> energy{0, 1};
  std::uniform_real_distribution<double> noise{0.5, 1.5};
  std::vector<std::pair<double, double>> rows;
  double x = 0, y = 0;
  for (int64_t i = 0; i < kPopulation; ++i) {
    const double e = energy(random);
    rows.emplace_back(0.01 * e * noise(random), e);
    x += rows.back().first;
    y += rows.back().second;
  }
  double squared = 0, claimed = 0;
  constexpr int kTrials = 400;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::ranges::shuffle(rows, random);
    RatioEstimate estimate{kPopulation};
    for (int64_t i = 0; i < kSample; ++i) estimate.add(rows[static_cast<size_t>(i)].first, rows[static_cast<size_t>(i)].second);
    squared += std::pow(estimate.ratio() - x / y, 2);
    claimed += estimate.standard_error();
  }
  EXPECT_NEAR(std::sqrt(squared / kTrials) / (claimed / kTrials), 1.0, 0.15);
}

}  // namespace
}  // namespace snug

#include "infer/text/sampler.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "snug/error.hpp"

namespace snug::infer {
namespace {

using Logits = std::vector<float>;

constexpr SamplerOptions kEverything{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 1};

std::map<int32_t, int> counts(SamplerOptions options, const Logits& logits, int draws = 20000) {
  Sampler sampler{options};
  std::map<int32_t, int> seen;
  for (int i = 0; i < draws; ++i) ++seen[sampler.next(logits)];
  return seen;
}

std::set<int32_t> drawn(SamplerOptions options, const Logits& logits) {
  std::set<int32_t> tokens;
  for (const auto& [token, count] : counts(options, logits)) tokens.insert(token);
  return tokens;
}

Logits logs(std::initializer_list<double> shares) {
  Logits out;
  for (const double share : shares) out.push_back(static_cast<float>(std::log(share)));
  return out;
}

TEST(Sampler, GreedyTakesTheLikeliestAndOfEqualsTheFirst) {
  Sampler sampler{{.temperature = 0}};
  EXPECT_EQ(sampler.next(Logits{1, 3, 2, 3}), 1);
  EXPECT_EQ(sampler.next(Logits{-5}), 0);
}

TEST(Sampler, TokensComeAsOftenAsTheyAreLikely) {
  const auto seen = counts(kEverything, logs({0.5, 0.3, 0.2}));
  EXPECT_NEAR(seen.at(0), 10000, 300);  // four standard deviations
  EXPECT_NEAR(seen.at(1), 6000, 300);
  EXPECT_NEAR(seen.at(2), 4000, 300);
}

TEST(Sampler, TemperatureSharpensOrFlattens) {
  SamplerOptions options = kEverything;
  options.temperature = 0.5f;
  EXPECT_NEAR(counts(options, logs({0.8, 0.2})).at(0), 20000 * 0.64 / 0.68, 300);
  options.temperature = 2;
  EXPECT_NEAR(counts(options, logs({0.8, 0.2})).at(0), 20000 * 2 / 3.0, 300);
}

TEST(Sampler, EachCutKeepsWhatItSays) {
  const Logits logits = logs({0.1, 0.4, 0.05, 0.3, 0.15});
  SamplerOptions options = kEverything;
  EXPECT_EQ(drawn(options, logits), (std::set<int32_t>{0, 1, 2, 3, 4}));
  options.top_k = 2;
  EXPECT_EQ(drawn(options, logits), (std::set<int32_t>{1, 3}));
  options = kEverything;
  options.top_p = 0.75f;
  EXPECT_EQ(drawn(options, logits), (std::set<int32_t>{1, 3, 4}));
  options = kEverything;
  options.min_p = 0.2f;
  EXPECT_EQ(drawn(options, logits), (std::set<int32_t>{0, 1, 3, 4}));
  options.top_p = 1e-6f;
  EXPECT_EQ(drawn(options, logits), (std::set<int32_t>{1}));
}

TEST(Sampler, TheSameSeedGivesTheSameTokens) {
  const Logits logits = logs({0.25, 0.25, 0.2, 0.2, 0.1});
  const auto series = [&](uint64_t seed) {
    Sampler sampler{{.temperature = 1, .seed = seed}};
    std::vector<int32_t> tokens;
    for (int i = 0; i < 12; ++i) tokens.push_back(sampler.next(logits));
    return tokens;
  };
  EXPECT_EQ(series(5), series(5));
  EXPECT_NE(series(5), series(6));
}

TEST(Sampler, ALargeVocabularyIsDrawnFromAsIfItWereSorted) {
  std::mt19937_64 random{3};
  std::uniform_real_distribution<float> flat{0, 4};  // so that tokens beyond the first thousands come too
  Logits logits(5000);
  for (float& logit : logits) logit = std::floor(64 * flat(random)) / 64;  // with equal ones among them
  SamplerOptions sorting = kEverything;
  sorting.top_k = std::ssize(logits);
  Sampler all{kEverything}, sorted{sorting};
  for (int i = 0; i < 500; ++i) ASSERT_EQ(all.next(logits), sorted.next(logits)) << i;
}

TEST(Sampler, SuppressedTokensNeverCome) {
  const std::vector<int32_t> suppressed{3, 1, 99, -4};
  Sampler greedy{{.temperature = 0}, suppressed};
  EXPECT_EQ(greedy.next(Logits{1, 9, 2, 8}), 2);
}

TEST(Sampler, RefusesWhatMakesNoSense) {
  EXPECT_THROW((Sampler{{.temperature = -1}}), Error);
  EXPECT_THROW((Sampler{{.top_k = -1}}), Error);
  EXPECT_THROW((Sampler{{.top_p = 0}}), Error);
  EXPECT_THROW((Sampler{{.min_p = 1.5f}}), Error);
  Sampler sampler{{}};
  EXPECT_THROW(sampler.next(Logits{1, std::numeric_limits<float>::quiet_NaN()}), Error);
  EXPECT_THROW(sampler.next(Logits{-INFINITY, -INFINITY}), Error);
  EXPECT_THROW(sampler.next({}), Error);
}

}  // namespace
}  // namespace snug::infer

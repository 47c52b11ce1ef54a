#include "measure/chunk_comparison.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "snug/error.hpp"

namespace snug {
namespace {

TEST(ChunkComparison, LeavesOutTheLastTokenWhereNobodyKnowsWhatCame) {
  const std::vector<infer::TokenPair> pairs{
      {{1.0f, 5}, {0.5f, 5}, 0.25f}, {{2.0f, 6}, {0.25f, 7}, 0.5f}, {{100.0f, 8}, {100.0f, 8}, 0.75f}};
  EXPECT_EQ(comparison_of(pairs), (ChunkComparison{3, 2, 0.5, 1.5, 0.375}));
}

TEST(ChunkComparison, ScoresAreMeansOverChunks) {
  const std::vector<ChunkComparison> chunks{{4, 4, 0, 1, 0.5}, {4, 2, 0, 3, 1.5}};
  const TextScores scores = scores_of(chunks);
  EXPECT_EQ(scores.same_top, (Estimate{0.75, 0.25}));
  EXPECT_DOUBLE_EQ(scores.perplexity.value, std::exp(2));
  EXPECT_DOUBLE_EQ(scores.perplexity.error, std::exp(2));  // the loss is 2 +- 1
  EXPECT_DOUBLE_EQ(scores.original_perplexity, std::exp(1));
}

TEST(ChunkComparison, ComesBackFromTheState) {
  const ChunkComparison chunk{224, 200, 0.125, 2.5, 2.25};
  EXPECT_EQ(parse_comparison(to_payload(chunk)), chunk);
}

TEST(ChunkComparison, RefusesWhatIsMalformed) {
  const ChunkComparison sound{224, 200, 0.125, 2.5, 2.25};
  std::vector<std::byte> longer = to_payload(sound), later = longer;
  longer.emplace_back();
  later[0] = std::byte{2};
  EXPECT_THROW(parse_comparison(longer), Error);
  EXPECT_THROW(parse_comparison(later), Error);
  EXPECT_THROW(parse_comparison(std::span{longer}.first(20)), Error);
  for (const ChunkComparison& bad :
       {ChunkComparison{0, 0, 0, 0, 0}, ChunkComparison{10, 11, 0, 0, 0},
        ChunkComparison{10, 1, std::numeric_limits<double>::quiet_NaN(), 0, 0}, ChunkComparison{10, 1, 0, 1e9, 0}})
    EXPECT_THROW(parse_comparison(to_payload(bad)), Error);
}

}  // namespace
}  // namespace snug

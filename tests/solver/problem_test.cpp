#include "solver/problem.hpp"

#include <gtest/gtest.h>

#include "snug/error.hpp"

namespace snug::solver {
namespace {

TEST(Problem, DominatedChoicesGoAndWhatAllPicksShareIsTakenOut) {
  const Problem p{{{{900, 5}, {100, 70}, {612, 20}, {612, 30}, {1124, 20}, {1636, 5}}, {{40, 9}}}, 1000};
  const Reduced r = reduce(p);
  ASSERT_EQ(r.tensors(), 2u);
  ASSERT_EQ(r.of(0).size(), 3u);
  EXPECT_EQ(r.unit, 32);  // 900 - 100 is no multiple of 512
  EXPECT_EQ(r.of(0)[1].bytes, 512 / 32);
  EXPECT_EQ(r.of(0)[1].loss, 15);
  EXPECT_EQ(r.of(0)[2].choice, 0);
  EXPECT_EQ(r.base_bytes, 140);
  EXPECT_EQ(r.base_loss, 14);
  EXPECT_EQ(r.capacity, 860 / 32);
}

TEST(Problem, OfEqualChoicesTheFirstStays) {
  const Reduced r = reduce({{{{3, 8}, {2, 4}, {2, 4}}}, 9});
  ASSERT_EQ(r.of(0).size(), 1u);
  EXPECT_EQ(r.of(0)[0].choice, 1);
}

TEST(Problem, ReachableIsTheSumOfExtremes) {
  const ReachableBytes range = reachable({{{{5, 1}, {2, 9}}, {{7, 0}}}, 0});
  EXPECT_EQ(range.smallest, 9);
  EXPECT_EQ(range.largest, 12);
  EXPECT_EQ(reachable({}).largest, 0);
}

TEST(Problem, NumbersBeyondTheLimitsAreRefusedAndTheTensorNamed) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const std::vector<std::vector<Choice>> kBad[] = {
      {{{1, 1}}, {}},                          // no choice
      {{{1, 1}}, {{-1, 1}}},                   // negative bytes
      {{{1, 1}}, {{1, -1}}},                   // negative loss
      {{{1, 1}}, {{kSumLimit, 1}}},            // bytes add up to too much
      {{{1, 1}}, {{1, 1}, {1, kSumLimit}}},    // losses do
      {{{1, 1}}, {{kMost, kMost}}},            // and never overflow
      {{{1, 1}}, std::vector<Choice>(65536)},  // a pick has 16 bits
  };
  for (const auto& tensors : kBad) {
    const Problem p{tensors, 10};
    try {
      solve(p);
      ADD_FAILURE() << "accepted";
    } catch (const Error& e) {
      EXPECT_NE(e.where().find("tensor 1"), std::string::npos) << e.what();
    }
    EXPECT_THROW(reachable(p), Error);
    EXPECT_THROW(frontier(p), Error);
  }
  EXPECT_NO_THROW(solve({{{{1, 1}}, {{kSumLimit - 1, kSumLimit - 1}}}, kMost}));
}

}  // namespace
}  // namespace snug::solver

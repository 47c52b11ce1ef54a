#include "solver/knapsack.hpp"

#include <gtest/gtest.h>

#include "solver/random_problem.hpp"

namespace snug::solver {
namespace {

using Outcome = CoreSearch::Outcome;

/// A search over a problem, and what it needs to stay alive.
struct Searched {
  explicit Searched(const Problem& p, int64_t max_states = 1'000'000,
                    Clock::duration time = std::chrono::hours{1})
      : reduced{reduce(p)},
        relaxed{relax(reduced, hull_edges(reduced))},
        core{reduced, relaxed, max_states, Clock::now() + time} {}

  Choice of(const std::vector<uint32_t>& pick) const {
    Choice sum{reduced.base_bytes, reduced.base_loss};
    for (uint32_t t = 0; t < pick.size(); ++t) {
      sum.bytes += reduced.of(t)[pick[t]].bytes * reduced.unit;
      sum.loss += reduced.of(t)[pick[t]].loss;
    }
    return sum;
  }

  Reduced reduced;
  Relaxation relaxed;
  CoreSearch core;
};

/// Uses the whole range of a search: everything may fit, or a price decides.
bool has_price(const Searched& s) {
  return s.relaxed.price.num > 0;
}

TEST(Knapsack, FindsTheOptimumFromItsLossUpwardsAndNothingBelow) {
  int searched = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    const Problem p = test::random_feasible_problem(seed);
    Searched s{p};
    if (!has_price(s)) continue;
    ++searched;
    const Choice best = test::best_by_enumeration(p);
    const int64_t least = best.loss - s.reduced.base_loss;
    EXPECT_EQ(s.core.run(least - 1), Outcome::none);
    for (const int64_t limit : {least, least + 1, least + 1000, kSumLimit}) {
      ASSERT_EQ(s.core.run(limit), Outcome::found);
      EXPECT_EQ(s.of(s.core.pick()).loss, best.loss);
      EXPECT_EQ(s.of(s.core.pick()).bytes, best.bytes);
    }
  }
  EXPECT_GT(searched, 100);
}

TEST(Knapsack, RunningOutOfStatesOrTimeIsSaidAndLeavesAPickThatFits) {
  const Problem p = test::synthetic_problem(300, 12, 1);
  Searched few{p, /*max_states=*/20};
  EXPECT_EQ(few.core.run(kSumLimit), Outcome::out_of_states);
  ASSERT_FALSE(few.core.pick().empty());
  EXPECT_LE(few.of(few.core.pick()).bytes, p.budget_bytes);
  Searched late{p, 1'000'000, std::chrono::seconds{-1}};
  EXPECT_EQ(late.core.run(kSumLimit), Outcome::out_of_time);
}

TEST(Knapsack, AThinnedRunProvesNothingButFindsAPickThatFits) {
  const Problem p = test::synthetic_problem(300, 12, 1);
  Searched s{p};
  ASSERT_TRUE(s.core.run_thinned(kSumLimit));
  const Choice thinned = s.of(s.core.pick());
  EXPECT_LE(thinned.bytes, p.budget_bytes);
  ASSERT_EQ(s.core.run(kSumLimit), Outcome::found);
  EXPECT_GE(thinned.loss, s.of(s.core.pick()).loss);
}

}  // namespace
}  // namespace snug::solver

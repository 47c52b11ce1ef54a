#include "snug/solve.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "solver/cases.hpp"
#include "solver/random_problem.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The sums are those of the picks, the picks fit, and what is left does not let any single tensor improve.
void expect_consistent(const Problem& p, const Solution& s) {
  ASSERT_EQ(s.pick.size(), p.tensors.size());
  int64_t bytes = 0, loss = 0;
  for (size_t t = 0; t < s.pick.size(); ++t) {
    bytes += p.tensors[t].at(s.pick[t]).bytes;
    loss += p.tensors[t].at(s.pick[t]).loss;
  }
  EXPECT_EQ(s.bytes, bytes);
  EXPECT_EQ(s.loss, loss);
  EXPECT_LE(s.bytes, p.budget_bytes);
  for (size_t t = 0; t < s.pick.size(); ++t)
    for (const Choice& c : p.tensors[t])
      EXPECT_FALSE(c.loss < p.tensors[t][s.pick[t]].loss &&
                   c.bytes - p.tensors[t][s.pick[t]].bytes <= p.budget_bytes - bytes)
          << "tensor " << t;
}

TEST(SolverProperty, SmallProblemsAreSolvedExactlyAndProven) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    const Problem p = test::random_feasible_problem(seed);
    const Solution s = solve(p);
    const Choice best = test::best_by_enumeration(p);
    EXPECT_EQ(s.stop, SolveStatus::optimal);
    EXPECT_EQ(s.loss, best.loss);
    EXPECT_EQ(s.bytes, best.bytes);
    EXPECT_EQ(s.claimed_bound, best.loss);
    EXPECT_EQ(s.certified_bound, best.loss);
    EXPECT_EQ(s.certified_bound, check_certificate(p, s.certificate));
    EXPECT_LE(proven_bound(p, s.proof), best.loss);
    expect_consistent(p, s);
  }
}

TEST(Solver, TheSmallestSizeFitsAndOneByteLessIsInfeasible) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    Problem p = test::random_feasible_problem(seed);
    const ReachableBytes range = reachable(p);
    p.budget_bytes = range.smallest;
    EXPECT_EQ(solve(p).bytes, range.smallest);
    for (const int64_t budget : {range.smallest - 1, int64_t{-1}, std::numeric_limits<int64_t>::min()}) {
      p.budget_bytes = budget;
      const Solution s = solve(p);
      if (budget >= range.smallest) continue;
      EXPECT_EQ(s.stop, SolveStatus::infeasible);
      EXPECT_TRUE(s.pick.empty());
      EXPECT_EQ(s.smallest, range.smallest);
      EXPECT_EQ(s.largest, range.largest);
    }
  }
}

TEST(Solver, NoTensorsIsAProblemToo) {
  const Solution s = solve({});
  EXPECT_EQ(s.stop, SolveStatus::optimal);
  EXPECT_EQ(s.bytes, 0);
  EXPECT_EQ(solve({{}, -1}).stop, SolveStatus::infeasible);
}

TEST(Solver, TheSameProblemGetsTheSamePicks) {
  const Problem p = test::synthetic_problem(500, 15, 3);
  EXPECT_EQ(solve(p).pick, solve(p).pick);
}

TEST(Solver, AWantedGapEndsTheSearchAndIsKept) {
  const Problem p = test::synthetic_problem(500, 15, 3);
  const Solution s = solve(p, {.gap = 0.01});
  EXPECT_EQ(s.stop, SolveStatus::gap_reached);
  EXPECT_LE(s.gap(), 0.01);
  EXPECT_GE(s.loss, solve(p).loss);
}

/// Every pick fills the budget equally well but for a remainder: dominance and prices decide nothing.
Problem subset_sums(size_t tensors) {
  std::mt19937_64 random{5};
  constexpr int64_t kLargest = 1'000'000'000'000;
  Problem p;
  for (size_t t = 0; t < tensors; ++t) {
    auto& row = p.tensors.emplace_back();
    for (int c = 0; c < 10; ++c) {
      const auto bytes = static_cast<int64_t>(random() % kLargest);
      row.push_back({bytes, 2 * (kLargest - bytes)});
    }
  }
  const ReachableBytes range = reachable(p);
  p.budget_bytes = (range.smallest + range.largest) / 2;
  return p;
}

TEST(Solver, GivesUpWithAnHonestBoundWhereStatesOrTimeRunOut) {
  const Problem p = subset_sums(60);
  const Solution few = solve(p, {.max_states = 50'000});
  EXPECT_EQ(few.stop, SolveStatus::time_limit);
  EXPECT_LT(few.certified_bound, few.loss);
  EXPECT_EQ(few.certified_bound, check_certificate(p, few.certificate));
  EXPECT_LT(few.gap(), 1e-4);
  expect_consistent(p, few);
  const auto start = std::chrono::steady_clock::now();
  const Solution late = solve(p, {.seconds = 0});
  EXPECT_LT(seconds_since(start), 5);
  EXPECT_EQ(late.stop, SolveStatus::time_limit);
  expect_consistent(p, late);
}

TEST(Solver, AHundredThousandTensorsEndWithinAHundredthOfAPercent) {
  const Problem p = test::synthetic_problem(100'000, 20, 1);
  const auto start = std::chrono::steady_clock::now();
  const Solution s = solve(p, {.gap = 1e-4});
  EXPECT_LT(seconds_since(start), 10);
  EXPECT_LE(s.gap(), 1e-4);
  EXPECT_LE(s.bytes, p.budget_bytes);
}

TEST(SolverCases, EveryPublishedCaseIsProvenOptimalWithinASecond) {
  int solved = 0;
  for (test::SolverCase& c : test::read_solver_cases(test::data_folder() / "solver"))
    for (const int64_t budget : c.budgets) {
      SCOPED_TRACE(c.name + " at " + std::to_string(budget));
      c.problem.budget_bytes = budget;
      const auto start = std::chrono::steady_clock::now();
      const Solution s = solve(c.problem);
      EXPECT_LT(seconds_since(start), 1);
      EXPECT_EQ(s.stop, SolveStatus::optimal);
      EXPECT_EQ(check_certificate(c.problem, s.certificate), s.loss);
      expect_consistent(c.problem, s);
      ++solved;
    }
  EXPECT_EQ(solved, 30);
}

}  // namespace
}  // namespace snug

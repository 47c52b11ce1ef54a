#include <gtest/gtest.h>

#include <optional>
#include <set>

#include "snug/error.hpp"
#include "snug/solve.hpp"
#include "solver/cases.hpp"
#include "solver/constrained.hpp"
#include "solver/random_problem.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

using Status = solver::IlpAnswer::Status;

Constraints random_constraints(const Problem& p, uint64_t seed) {
  std::mt19937_64 random{seed};
  Constraints all;
  for (uint64_t k = random() % 3; k > 0; --k) {
    SideConstraint& side = all.side.emplace_back(SideConstraint{"side", {}, 0});
    int64_t most = 0;
    for (const auto& choices : p.tensors) {
      auto& row = side.cost.emplace_back();
      if (random() % 4 == 0) continue;
      for (size_t c = 0; c < choices.size(); ++c) row.push_back(static_cast<int64_t>(random() % 100));
      most += std::ranges::max(row);
    }
    side.limit = most / 4 + static_cast<int64_t>(random() % static_cast<uint64_t>(most + 1)) * 3 / 4;
  }
  if (random() % 2) {
    FormatLimit& limit = all.formats.emplace_back(FormatLimit{{}, 1 + static_cast<int>(random() % 3)});
    for (const auto& choices : p.tensors) {
      auto& row = limit.format.emplace_back();
      for (size_t c = 0; c < choices.size() && random() % 5; ++c)
        row.push_back(static_cast<int>(random() % 5) - 1);
      if (row.size() != choices.size()) row.clear();
    }
  }
  return all;
}

bool keeps(const Constraints& all, const std::vector<uint16_t>& pick) {
  for (const SideConstraint& side : all.side) {
    int64_t sum = 0;
    for (size_t t = 0; t < pick.size(); ++t) sum += side.cost[t].empty() ? 0 : side.cost[t][pick[t]];
    if (sum > side.limit) return false;
  }
  for (const FormatLimit& limit : all.formats) {
    std::set<int> used;
    for (size_t t = 0; t < pick.size(); ++t)
      if (!limit.format[t].empty() && limit.format[t][pick[t]] >= 0) used.insert(limit.format[t][pick[t]]);
    if (static_cast<int>(used.size()) > limit.at_most) return false;
  }
  return true;
}

std::optional<int64_t> least_by_enumeration(const Problem& p, const Constraints& all) {
  std::optional<int64_t> least;
  test::for_every_pick(p, [&](const auto& pick, int64_t bytes, int64_t loss) {
    if (bytes <= p.budget_bytes && keeps(all, pick) && (!least || loss < *least)) least = loss;
  });
  return least;
}

/// Losses doubles can tell apart: GLPK has no others.
bool within_doubles(const Problem& p) {
  for (const auto& choices : p.tensors)
    for (const Choice& c : choices)
      if (c.loss > 1'000'000 || c.bytes > 1'000'000) return false;
  return true;
}

TEST(SolveWith, SmallProblemsWithFurtherRowsAreSolvedExactly) {
  int solved = 0, infeasible = 0;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    SCOPED_TRACE(seed);
    const Problem p = test::random_feasible_problem(seed);
    if (!within_doubles(p)) continue;
    const Constraints all = random_constraints(p, seed);
    const Solution s = solve_constrained(p, all);
    const auto least = least_by_enumeration(p, all);
    if (!least) {
      EXPECT_EQ(s.stop, SolveStatus::infeasible);
      EXPECT_TRUE(s.pick.empty());
      ++infeasible;
      continue;
    }
    ++solved;
    EXPECT_EQ(s.stop, SolveStatus::optimal);
    EXPECT_EQ(s.loss, *least);
    EXPECT_LE(s.bytes, p.budget_bytes);
    EXPECT_TRUE(keeps(all, s.pick));
    EXPECT_LE(s.certified_bound, *least);
    EXPECT_EQ(s.certified_bound,
              std::max(check_certificate(p, s.certificate), proven_bound(p, all, s.proof, s.side_proof)));
  }
  EXPECT_GT(solved, 100);
  EXPECT_GT(infeasible, 10);
}

TEST(SolveWith, WithoutRowsItIsTheKnapsack) {
  const Problem p = test::synthetic_problem(100, 10, 1);
  EXPECT_EQ(solve_constrained(p, {}).pick, solve(p).pick);
  EXPECT_EQ(solve_constrained(p, {}).stop, SolveStatus::optimal);
}

TEST(SolveWith, RowsThatDoNotFitTheProblemAreRefused) {
  const Problem p{{{{1, 1}, {2, 0}}}, 2};
  const auto side = [](std::vector<std::vector<int64_t>> cost) {
    return Constraints{{{"s", std::move(cost), 5}}, {}};
  };
  for (const Constraints& bad :
       {side({}), side({{1}}), side({{1, 2}, {1, 2}}), side({{-1, 2}}), side({{kSumLimit + 1, 2}}),
        Constraints{{}, {{{}, 1}}}, Constraints{{}, {{{{1}}, 1}}}, Constraints{{}, {{{{1, -2}}, 1}}}})
    EXPECT_THROW(solve_constrained(p, bad), Error);
  const Constraints good = side({{1, 2}});
  EXPECT_THROW(proven_bound(p, good, {1, 1}, {}), Error);
  EXPECT_THROW(proven_bound(p, good, {1, 2}, std::vector<Price>{{1, 1}}), Error);
}

/// GLPK and our own search are two ways to the same number.
TEST(SolveWith, GlpkAgreesWithTheKnapsackWhereverItEnds) {
  int agreed = 0;
  const Constraints none;
  for (test::SolverCase& c : test::read_solver_cases(test::data_folder() / "solver"))
    for (size_t k = 0; k < c.budgets.size(); k += 4) {
      SCOPED_TRACE(c.name + " at " + std::to_string(c.budgets[k]));
      c.problem.budget_bytes = c.budgets[k];
      const Solution s = solve(c.problem);
      const solver::Rows rows = solver::rows_of(c.problem, none);
      const double scale = 1e6 / static_cast<double>(std::max<int64_t>(s.loss, 1'000'000));
      const auto answer = solver::solve_ilp(solver::ilp_of(rows, scale), 0.8, 0);
      EXPECT_LE(answer.bound / scale, static_cast<double>(s.loss) * (1 + 1e-6) + 1);
      if (answer.status != Status::optimal) continue;
      const solver::Pick pick = solver::pick_of(rows, answer.x);
      if (!solver::satisfies(rows, pick)) continue;  // its rounding took it over the budget
      EXPECT_GE(solver::loss_of(rows, pick), s.loss);
      EXPECT_LE(static_cast<double>(solver::loss_of(rows, pick)),
                static_cast<double>(s.loss) * (1 + 1e-6) + 1);
      ++agreed;
    }
  EXPECT_GT(agreed, 2);
}

FormatLimit limit_of(const test::SolverCase& c, int at_most) {
  FormatLimit limit{{}, at_most};
  std::vector<std::string> names;
  for (const auto& formats : c.formats) {
    auto& row = limit.format.emplace_back();
    for (const std::string& f : formats) {
      const auto at = std::ranges::find(names, f);
      row.push_back(static_cast<int>(at - names.begin()));
      if (at == names.end()) names.push_back(f);
    }
  }
  return limit;
}

TEST(SolveWith, AFormatLimitAloneIsSolvedToTheOptimum) {
  auto c = test::read_solver_case(test::data_folder() / "solver" / "qwen3-4b.json");
  c.problem.budget_bytes = c.budgets[6];
  int64_t last = solve(c.problem).loss;
  for (const int at_most : {20, 6, 4, 2, 1}) {
    SCOPED_TRACE(at_most);
    const Constraints all{{}, {limit_of(c, at_most)}};
    const Solution s = solve_constrained(c.problem, all, {.seconds = 20});
    EXPECT_EQ(s.stop, SolveStatus::optimal);
    EXPECT_TRUE(keeps(all, s.pick));
    EXPECT_GE(s.loss, last);
    last = s.loss;
  }
  const Constraints none{{}, {limit_of(c, 0)}};
  EXPECT_EQ(solve_constrained(c.problem, none).stop, SolveStatus::infeasible);
}

TEST(SolveWith, ACapIsSolvedCloseToItsBound) {
  auto c = test::read_solver_case(test::data_folder() / "solver" / "qwen3-4b.json");
  c.problem.budget_bytes = c.budgets[6];
  Constraints all;
  SideConstraint& side = all.side.emplace_back(SideConstraint{"first half", {}, 0});
  const Solution free = solve(c.problem);
  for (size_t t = 0; t < c.problem.tensors.size(); ++t) {
    auto& cost = side.cost.emplace_back();
    if (t > c.problem.tensors.size() / 2) continue;
    for (const Choice& choice : c.problem.tensors[t]) cost.push_back(choice.bytes);
    side.limit += c.problem.tensors[t][free.pick[t]].bytes;
  }
  side.limit = side.limit / 100 * 97;
  const Solution capped = solve_constrained(c.problem, all, {.seconds = 3});
  ASSERT_FALSE(capped.pick.empty());
  EXPECT_TRUE(keeps(all, capped.pick));
  EXPECT_GE(capped.loss, free.loss);
  EXPECT_LT(capped.gap(), 0.002);
  all.formats.push_back(limit_of(c, 4));
  const Solution both = solve_constrained(c.problem, all, {.seconds = 3});
  ASSERT_FALSE(both.pick.empty());
  EXPECT_TRUE(keeps(all, both.pick));
  EXPECT_LE(both.bytes, c.problem.budget_bytes);
  EXPECT_LE(both.certified_bound, both.claimed_bound);
  EXPECT_LE(both.claimed_bound, both.loss);
  EXPECT_GE(both.loss, capped.certified_bound);
}

}  // namespace
}  // namespace snug

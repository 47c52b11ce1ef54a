#include <gtest/gtest.h>

#include <map>

#include "snug/solve.hpp"
#include "solver/cases.hpp"
#include "solver/random_problem.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

/// Applies the changes one by one: bytes and losses are those of the picks, bytes rise and losses fall.
void expect_consistent(const Problem& p, const std::vector<FrontierPoint>& points) {
  std::vector<uint16_t> pick(p.tensors.size(), 0);
  for (size_t k = 0; k < points.size(); ++k) {
    EXPECT_TRUE(k > 0 || points[k].changes.size() == p.tensors.size());
    for (const PickChange& c : points[k].changes) pick.at(c.tensor) = c.pick;
    int64_t bytes = 0, loss = 0;
    for (size_t t = 0; t < pick.size(); ++t) {
      bytes += p.tensors[t].at(pick[t]).bytes;
      loss += p.tensors[t].at(pick[t]).loss;
    }
    ASSERT_EQ(points[k].bytes, bytes) << "point " << k;
    ASSERT_EQ(points[k].loss, loss) << "point " << k;
    EXPECT_TRUE(k == 0 || bytes > points[k - 1].bytes);
    EXPECT_TRUE(k == 0 || loss < points[k - 1].loss);
  }
}

/// bytes -> loss of every pick that no other beats.
std::map<int64_t, int64_t> pareto_by_enumeration(const Problem& p) {
  std::map<int64_t, int64_t> least, pareto;
  test::for_every_pick(p, [&](const auto&, int64_t bytes, int64_t loss) {
    const auto [at, fresh] = least.emplace(bytes, loss);
    if (!fresh) at->second = std::min(at->second, loss);
  });
  for (const auto& [bytes, loss] : least)
    if (pareto.empty() || loss < pareto.rbegin()->second) pareto.emplace(bytes, loss);
  return pareto;
}

TEST(Frontier, WithEnoughPointsItIsEveryPickThatNoOtherBeats) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    const Problem p = test::random_feasible_problem(seed);
    const auto points = frontier(p, {.exact_points = 1'000'000});
    expect_consistent(p, points);
    std::map<int64_t, int64_t> found;
    for (const FrontierPoint& f : points) found.emplace(f.bytes, f.loss);
    EXPECT_EQ(found, pareto_by_enumeration(p));
  }
}

TEST(Frontier, OnTheHullAPriceAloneProvesEveryPoint) {
  Problem p = test::synthetic_problem(60, 10, 2);
  const auto points = frontier(p);
  expect_consistent(p, points);
  EXPECT_GT(points.size(), 100u);
  for (const FrontierPoint& f : points) {
    EXPECT_TRUE(f.on_hull);
    p.budget_bytes = f.bytes;
    const Solution s = solve(p);
    EXPECT_EQ(s.loss, f.loss);
    EXPECT_EQ(proven_bound(p, s.proof), f.loss);
  }
}

TEST(Frontier, AWindowOfBudgetsHasWhatEachOfThemNeeds) {
  const Problem p = test::synthetic_problem(40, 8, 4);
  const auto all = frontier(p, {.exact_points = 50});
  const int64_t from = all[all.size() / 3].bytes + 1, to = all[all.size() / 2].bytes;
  const auto window = frontier(p, {.from = from, .to = to, .exact_points = 50});
  expect_consistent(p, window);
  EXPECT_EQ(window.front().bytes,
            all[all.size() / 3].bytes);  // the best for a budget of `from`, or a better one
  EXPECT_EQ(window.back().bytes, to);
  const auto between = std::ranges::count(window, false, &FrontierPoint::on_hull);
  EXPECT_LE(between, 50);
  EXPECT_GT(between, 40);  // one may lie below `from`, and be of no use
}

TEST(Frontier, ACaseHasThousandsOfSizesAtOnce) {
  auto c = test::read_solver_case(test::data_folder() / "solver" / "qwen3-4b.json");
  const auto points = frontier(c.problem, {.exact_points = 50});
  expect_consistent(c.problem, points);
  EXPECT_GT(points.size(), 2000u);
}

}  // namespace
}  // namespace snug

#include "solver/lagrange.hpp"

#include <gtest/gtest.h>

#include "solver/random_problem.hpp"

namespace snug::solver {
namespace {

TEST(Lagrange, HullEdgesAreSteepestFirstAndInOrderWithinATensor) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    const Reduced r = reduce(test::random_feasible_problem(seed));
    const std::vector<Edge> edges = hull_edges(r);
    std::vector<uint32_t> at(r.tensors(), 0);
    for (size_t k = 0; k < edges.size(); ++k) {
      const Edge& e = edges[k];
      EXPECT_FALSE(k > 0 && steeper(e.slope, edges[k - 1].slope));
      EXPECT_EQ(e.from, at[e.tensor]);
      at[e.tensor] = e.to;
      for (uint32_t i = e.from; i <= e.to; ++i) {  // no item lies below the edge
        const auto items = r.of(e.tensor);
        EXPECT_GE(Wide{e.slope.den} * items[i].loss + Wide{e.slope.num} * items[i].bytes,
                  Wide{e.slope.den} * items[e.from].loss + Wide{e.slope.num} * items[e.from].bytes);
      }
    }
    for (uint32_t t = 0; t < r.tensors(); ++t) EXPECT_EQ(at[t] + 1, r.of(t).size());
  }
}

TEST(Lagrange, TheRelaxedPicksFitAndNoOtherPriceProvesMore) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    const Problem p = test::random_feasible_problem(seed);
    const Reduced r = reduce(p);
    const std::vector<Edge> edges = hull_edges(r);
    const Relaxation relaxed = relax(r, edges);
    EXPECT_LE(relaxed.bytes, r.capacity);
    const Solution s = solve(p);
    const int64_t best = proven_bound(p, s.proof);
    EXPECT_LE(best, test::best_by_enumeration(p).loss);
    EXPECT_LE(proven_bound(p, {0, 1}), best);
    for (const Edge& e : edges) {
      if (e.slope.den > kSumLimit / r.unit) continue;
      EXPECT_LE(proven_bound(p, {e.slope.num, e.slope.den * r.unit}), best);
    }
  }
}

TEST(Lagrange, FillingLeavesNoSingleImprovementThatFits) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    const Reduced r = reduce(test::random_feasible_problem(seed));
    const std::vector<Edge> edges = hull_edges(r);
    const std::vector<uint32_t> pick = fill(r, edges, relax(r, edges));
    int64_t room = r.capacity;
    for (uint32_t t = 0; t < r.tensors(); ++t) room -= r.of(t)[pick[t]].bytes;
    EXPECT_GE(room, 0);
    for (uint32_t t = 0; t < r.tensors(); ++t) {
      const auto better = r.of(t).subspan(pick[t]);
      EXPECT_FALSE(better.size() > 1 && better[1].bytes - better[0].bytes <= room);
    }
  }
}

}  // namespace
}  // namespace snug::solver

#include "snug/solve.hpp"

#include <algorithm>
#include <numeric>

#include "solver/knapsack.hpp"
#include "solver/lagrange.hpp"
#include "solver/problem.hpp"

namespace snug {
namespace solver {
namespace {

int64_t loss_of(const Reduced& problem, const std::vector<uint32_t>& pick) {
  int64_t loss = 0;
  for (uint32_t t = 0; t < problem.tensors(); ++t) loss += problem.of(t)[pick[t]].loss;
  return loss;
}

Price lowest_terms(int64_t num, int64_t den) {
  const int64_t common = std::max<int64_t>(std::gcd(num, den), 1);
  return {num / common, den / common};
}

/// A slope per unit as a price per byte.
Price per_byte(Slope slope, const Reduced& problem) {
  return lowest_terms(slope.num, slope.den * problem.unit);
}

/// What is known of one problem while it is being solved. All losses as in Reduced.
struct Progress {
  std::vector<uint32_t> pick;
  int64_t loss = 0;   // of pick
  int64_t bound = 0;  // no pick within the capacity has less
  SolveStatus stop = SolveStatus::time_limit;
};

bool close_enough(const Progress& p, const Reduced& problem, double gap) {
  const auto loss = static_cast<double>(p.loss + problem.base_loss);
  return static_cast<double>(p.loss - p.bound) <= gap * loss;
}

void keep_better(Progress& p, const Reduced& problem, const std::vector<uint32_t>& pick) {
  if (pick.empty()) return;
  const int64_t loss = loss_of(problem, pick);
  if (loss < p.loss) {
    p.pick = pick;
    p.loss = loss;
  }
}

/// Runs the search under a limit that starts near the bound and moves away from it: most optima lie close to
/// it, and the work grows steeply with the distance.
void search(Progress& p, const Reduced& problem, CoreSearch& core, double gap) {
  constexpr int64_t kFirstFraction = 64, kGrowth = 4;
  const int64_t start = p.bound;
  for (int64_t reach = (p.loss - start) / kFirstFraction;; reach = std::max<int64_t>(1, reach) * kGrowth) {
    if (gap > 0 && close_enough(p, problem, gap)) {
      p.stop = p.loss == p.bound ? SolveStatus::optimal : SolveStatus::gap_reached;
      return;
    }
    const int64_t limit = reach < (p.loss - start) / kGrowth ? start + reach : p.loss;
    const auto outcome = core.run(limit);
    if (outcome == CoreSearch::Outcome::none) {
      p.bound = limit + 1;
      continue;
    }
    if (outcome == CoreSearch::Outcome::found) {
      p.pick = core.pick();
      p.bound = p.loss = loss_of(problem, p.pick);
    } else {
      keep_better(p, problem, core.pick());
      if (core.run_thinned(p.loss)) keep_better(p, problem, core.pick());
    }
    p.stop = p.loss == p.bound ? SolveStatus::optimal : SolveStatus::time_limit;
    return;
  }
}

/// Prices for the check: the relaxation's, and those that bound what is left after 0, 1, 2, 4, ... tensors.
std::vector<Price> prices_of(const CoreSearch& core, const Reduced& problem, Price proof) {
  std::vector<Price> prices{proof};
  const size_t last = core.order().size();
  for (size_t k = 0; k <= last; k = std::max<size_t>(1, 2 * k)) {
    prices.push_back(per_byte(core.best_up()[k], problem));
    if (core.best_down()[k].den > 0) prices.push_back(per_byte(core.best_down()[k], problem));
  }
  return prices;
}

void fill_in_picks(Solution& s, const Problem& problem, const Reduced& reduced,
                   const std::vector<uint32_t>& pick) {
  for (uint32_t t = 0; t < reduced.tensors(); ++t) {
    s.pick.push_back(reduced.of(t)[pick[t]].choice);
    s.bytes += problem.tensors[t][s.pick[t]].bytes;
    s.loss += problem.tensors[t][s.pick[t]].loss;
  }
}

void solve_feasible(Solution& s, const Problem& problem, const Reduced& reduced, const SolveOptions& options) {
  const auto deadline = deadline_in(options.seconds);
  const std::vector<Edge> edges = hull_edges(reduced);
  const Relaxation relaxed = relax(reduced, edges);
  s.proof = per_byte(relaxed.price, reduced);
  s.certificate.prices = {s.proof};
  Progress p;
  p.pick = fill(reduced, edges, relaxed);
  p.loss = loss_of(reduced, p.pick);
  const Wide scaled = relaxed.scaled_bound(reduced.capacity);
  p.bound = scaled <= 0 ? 0 : static_cast<int64_t>((scaled + relaxed.price.den - 1) / relaxed.price.den);
  if (Wide{relaxed.price.den} * p.loss == scaled) {
    p.stop = SolveStatus::optimal;
  } else {
    CoreSearch core{reduced, relaxed, options.max_states, deadline};
    const int64_t by_price = p.bound;
    search(p, reduced, core, options.gap);
    if (p.bound > by_price) {
      s.certificate.order = core.order();
      s.certificate.prices = prices_of(core, reduced, s.proof);
    }
  }
  fill_in_picks(s, problem, reduced, p.pick);
  s.stop = p.stop;
  s.claimed_bound = s.certificate.loss = p.bound + reduced.base_loss;
}

}  // namespace
}  // namespace solver

Solution solve(const Problem& problem, const SolveOptions& options) {
  const ReachableBytes range = reachable(problem);
  Solution s;
  s.smallest = range.smallest;
  s.largest = range.largest;
  const solver::Reduced reduced = solver::reduce(problem);
  if (reduced.capacity < 0) {
    s.certificate.prices = {s.proof};
    return s;
  }
  solver::solve_feasible(s, problem, reduced, options);
  s.certified_bound = check_certificate(problem, s.certificate);
  return s;
}

}  // namespace snug

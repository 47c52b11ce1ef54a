#include <algorithm>
#include <cmath>
#include <limits>

#include "snug/error.hpp"
#include "snug/solve.hpp"
#include "solver/constrained.hpp"

namespace snug {
namespace solver {
namespace {

double seconds_until(Clock::time_point deadline) {
  return std::max(0.0, std::chrono::duration<double>(deadline - Clock::now()).count());
}

Clock::time_point halfway_to(Clock::time_point deadline) {
  return Clock::now() + (deadline - Clock::now()) / 2;
}

/// Brings losses to a size GLPK's absolute tolerances are made for.
double scale_for(const Problem& problem, int64_t relaxed_loss) {
  double most = 1;
  for (const auto& choices : problem.tensors)
    most += static_cast<double>(std::ranges::max(choices, {}, &Choice::loss).loss);
  return 1e6 / (relaxed_loss > 0 ? static_cast<double>(relaxed_loss) : most);
}

void set_pick(Solution& s, const Problem& problem, const Pick& pick) {
  s.pick = pick;
  s.bytes = s.loss = 0;
  for (size_t t = 0; t < pick.size(); ++t) {
    s.bytes += problem.tensors[t][pick[t]].bytes;
    s.loss += problem.tensors[t][pick[t]].loss;
  }
}

/// Prices for the proof. Keeps the better of them and of what the problem without the rows has proven.
void set_proof(Solution& s, const Problem& problem, const Constraints& constraints, const Prices& prices) {
  s.proof = {prices.num[0], prices.den};
  s.side_proof.clear();
  for (size_t k = 1; k < prices.num.size(); ++k) s.side_proof.push_back({prices.num[k], prices.den});
  s.certified_bound = std::max(s.certified_bound, proven_bound(problem, constraints, s.proof, s.side_proof));
}

/// GLPK takes a sum for kept that is over by a rounding error. Lowers the limits such a pick breaks by what
/// it breaks them: where they are whole that costs nothing that counts.
bool tighten(Rows& rows, const Pick& pick) {
  bool tightened = false;
  for (SideConstraint& sum : rows.sums) {
    int64_t total = 0;
    for (size_t t = 0; t < pick.size(); ++t) total += sum.cost[t].empty() ? 0 : sum.cost[t][pick[t]];
    if (total <= sum.limit) continue;
    sum.limit -= total - sum.limit;
    tightened = true;
  }
  return tightened;
}

struct Searched {
  Pick pick;  // empty if there is none
  IlpAnswer::Status status = IlpAnswer::Status::out_of_time;
  double bound = 0;
};

/// Branch and cut, again with tightened limits where rounding broke them.
Searched search(Rows rows, const Pick& start, double scale, double gap, Clock::time_point deadline) {
  constexpr int kAttempts = 3;
  Searched best{start, IlpAnswer::Status::out_of_time, 0};
  const Rows exact = rows;
  for (int attempt = 0; attempt < kAttempts && seconds_until(deadline) > 0; ++attempt) {
    const Ilp ilp = ilp_of(rows, scale);
    const bool use_start = !start.empty() && attempt == 0;
    const auto columns = use_start ? columns_of(rows, start) : std::vector<double>{};
    const IlpAnswer answer = solve_ilp(ilp, seconds_until(deadline), gap, columns);
    if (attempt == 0) best.bound = answer.bound;
    const Pick pick = answer.x.empty() ? Pick{} : pick_of(rows, answer.x);
    if (!pick.empty() && !satisfies(exact, pick) && tighten(rows, pick)) continue;
    if (attempt == 0) best.status = answer.status;
    if (pick.empty() || !satisfies(exact, pick)) return best;
    if (best.pick.empty() || loss_of(exact, pick) <= loss_of(exact, best.pick)) best.pick = pick;
    return best;
  }
  return best;
}

void give_up(Solution& s, SolveStatus stop) {
  s.stop = stop;
  s.pick.clear();
  s.bytes = s.loss = 0;
  s.claimed_bound = s.certified_bound;
}

/// Losses GLPK cannot tell apart count as one: then the certificate's integers decide what is optimal.
void conclude(Solution& s, const Problem& problem, const Searched& found, double scale) {
  using Status = IlpAnswer::Status;
  if (found.pick.empty())
    return give_up(s, found.status == Status::infeasible ? SolveStatus::infeasible : SolveStatus::time_limit);
  set_pick(s, problem, found.pick);
  const auto claimed =
      static_cast<int64_t>(std::min(std::floor(found.bound / scale), static_cast<double>(s.loss)));
  const bool optimal = found.status == Status::optimal || s.certified_bound == s.loss;
  s.claimed_bound = optimal ? s.loss : std::max(std::min(claimed, s.loss), s.certified_bound);
  s.stop = optimal                               ? SolveStatus::optimal
           : found.status == Status::gap_reached ? SolveStatus::gap_reached
                                                 : SolveStatus::time_limit;
}

/// The relaxation's prices, of the sums alone: with format limits it would take GLPK long and give no more.
Prices sum_prices(const Rows& rows, const Solution& s, double scale, Clock::time_point deadline) {
  Prices prices{s.proof.den, {s.proof.num}};
  prices.num.resize(rows.sums.size(), 0);
  if (rows.sums.size() == 1) return prices;
  Constraints sides = rows.constraints;
  sides.formats.clear();
  const Rows without_formats = rows_of(rows.problem, sides);
  const IlpAnswer relaxed = solve_relaxed(ilp_of(without_formats, scale), seconds_until(deadline));
  return relaxed.price.empty() ? prices : prices_of(without_formats, relaxed, scale);
}

/// In whole numbers, so that claimed_bound is as good as the search is right.
void solve_formats(Solution& s, const Rows& rows, const Pick& start, double gap, Clock::time_point deadline) {
  const FormatSearchResult found = search_formats(rows, start, gap, deadline);
  const bool ended = found.bound == std::numeric_limits<int64_t>::max();
  if (found.pick.empty()) return give_up(s, ended ? SolveStatus::infeasible : SolveStatus::time_limit);
  set_pick(s, rows.problem, found.pick);
  s.claimed_bound = std::max(found.bound, s.certified_bound);
  const auto open = static_cast<double>(s.loss - s.claimed_bound);
  const bool close = open <= gap * static_cast<double>(s.loss);
  s.stop = open <= 0 ? SolveStatus::optimal : close ? SolveStatus::gap_reached : SolveStatus::time_limit;
}

void solve_rows(Solution& s, const Problem& problem, const Constraints& constraints, const SolveOptions& options,
                Clock::time_point deadline) {
  Rows rows = rows_of(problem, constraints);
  if (satisfies(rows, s.pick)) {
    s.side_proof.assign(constraints.side.size(), {0, s.proof.den});
    return;
  }
  const double scale = scale_for(problem, s.loss);
  const Prices prices = sum_prices(rows, s, scale, deadline);
  set_proof(s, problem, constraints, prices);
  const Pick start = find_incumbent(rows, prices, halfway_to(deadline));
  if (formats_alone(rows)) return solve_formats(s, rows, start, options.gap, deadline);
  if (!start.empty()) close_choices(rows, prices, loss_of(rows, start));
  conclude(s, problem, search(rows, start, scale, options.gap, deadline), scale);
}

}  // namespace
}  // namespace solver

Solution solve_constrained(const Problem& problem, const Constraints& constraints, const SolveOptions& options) {
  solver::check_limits(problem, constraints);
  const auto deadline = solver::deadline_in(options.seconds);
  Solution s = solve(problem, options);
  if (s.stop != SolveStatus::infeasible) solver::solve_rows(s, problem, constraints, options, deadline);
  return s;
}

}  // namespace snug

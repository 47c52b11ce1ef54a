#include <algorithm>
#include <limits>
#include <set>
#include <tuple>

#include "solver/constrained.hpp"

namespace snug::solver {
namespace {

/// The formats left out, per format limit.
using LeftOut = std::vector<std::set<int>>;

/// A good pick in a hundredth of the time solve() takes to prove one.
Pick filled(const Problem& problem) {
  const Reduced reduced = reduce(problem);
  if (reduced.capacity < 0) return {};
  const std::vector<Edge> edges = hull_edges(reduced);
  Pick pick;
  for (const uint32_t item : fill(reduced, edges, relax(reduced, edges)))
    pick.push_back(reduced.of(static_cast<uint32_t>(pick.size()))[item].choice);
  return pick;
}

/// Knapsacks over the open choices, less some formats, with prices added to the losses.
class Heuristic {
 public:
  Heuristic(const Rows& rows, const Prices& prices, Clock::time_point deadline)
      : rows_(rows), prices_(prices), deadline_(deadline) {}

  bool late() const { return Clock::now() > deadline_; }

  /// Raises the prices until the sums are kept. Empty where they never are, or where a tensor has no choice
  /// left.
  Pick knapsack(const LeftOut& left_out, bool exact = false) const {
    for (const double factor : {1.0, 1.01, 1.03, 1.1, 1.3, 1.7, 2.5, 5.0, 20.0, 1000.0}) {
      const Pick pick = knapsack_at(left_out, factor, exact);
      if (pick.empty()) return {};
      if (keeps_sums(pick)) return improved(pick, left_out);
      if (late() || rows_.sums.size() == 1) return {};
    }
    return {};
  }

  /// Leaves out formats one at a time, each time the one that costs least, until the limit is kept; then
  /// swaps one for another while that helps.
  void leave_out(size_t limit, LeftOut& left_out) const {
    const int at_most = rows_.constraints.formats[limit].at_most;
    std::set<int> kept = all_formats(limit);
    while (static_cast<int64_t>(kept.size()) > at_most && !late()) {
      int best = *kept.begin();
      int64_t best_loss = kInfinite;
      for (const int format : kept) {
        const int64_t loss = loss_without(left_out, limit, format);
        if (loss < best_loss) std::tie(best, best_loss) = std::tuple{format, loss};
      }
      if (best_loss == kInfinite) return;
      left_out[limit].insert(best);
      kept.erase(best);
    }
    while (!late() && swap_one(limit, kept, left_out)) {
    }
  }

 private:
  static constexpr int64_t kInfinite = std::numeric_limits<int64_t>::max();

  bool is_open(size_t t, uint16_t c, const LeftOut& left_out) const {
    for (size_t k = 0; k < left_out.size(); ++k) {
      const auto& row = rows_.constraints.formats[k].format[t];
      if (!row.empty() && left_out[k].contains(row[c])) return false;
    }
    return true;
  }

  /// The loss plus the side costs at their prices, the budget's apart; capped so that sums stay within the
  /// limits.
  int64_t loss_at(size_t t, uint16_t c, double factor) const {
    double loss = static_cast<double>(rows_.problem.tensors[t][c].loss);
    for (size_t s = 1; s < rows_.sums.size(); ++s)
      if (const auto& row = rows_.sums[s].cost[t]; !row.empty())
        loss += factor * static_cast<double>(row[c]) * static_cast<double>(prices_.num[s]) /
                static_cast<double>(prices_.den);
    const double most = static_cast<double>(kSumLimit / 2) / static_cast<double>(rows_.open.size());
    return static_cast<int64_t>(std::min(loss, most));
  }

  Pick knapsack_at(const LeftOut& left_out, double factor, bool exact) const {
    Problem p{{}, rows_.problem.budget_bytes};
    std::vector<std::vector<uint16_t>> original;
    for (size_t t = 0; t < rows_.open.size(); ++t) {
      auto& choices = p.tensors.emplace_back();
      auto& from = original.emplace_back();
      for (const uint16_t c : rows_.open[t]) {
        if (!is_open(t, c, left_out)) continue;
        choices.push_back({rows_.problem.tensors[t][c].bytes, loss_at(t, c, factor)});
        from.push_back(c);
      }
      if (choices.empty()) return {};
    }
    Pick pick = exact ? solve(p, {.seconds = 1, .max_states = 500'000}).pick : filled(p);
    for (size_t t = 0; t < pick.size(); ++t) pick[t] = original[t][pick[t]];
    return pick;
  }

  std::vector<int64_t> sums_of(const Pick& pick) const {
    std::vector<int64_t> sums(rows_.sums.size(), 0);
    for (size_t s = 0; s < sums.size(); ++s)
      for (size_t t = 0; t < pick.size(); ++t)
        if (const auto& row = rows_.sums[s].cost[t]; !row.empty()) sums[s] += row[pick[t]];
    return sums;
  }

  bool keeps_sums(const Pick& pick) const {
    const std::vector<int64_t> sums = sums_of(pick);
    for (size_t s = 0; s < sums.size(); ++s)
      if (sums[s] > rows_.sums[s].limit) return false;
    return true;
  }

  /// Takes, for one tensor after another, the choice of least loss that keeps every sum.
  Pick improved(Pick pick, const LeftOut& left_out) const {
    std::vector<int64_t> sums = sums_of(pick);
    for (size_t t = 0; t < pick.size(); ++t)
      for (const uint16_t c : rows_.open[t]) {
        if (!is_open(t, c, left_out)) continue;
        if (rows_.problem.tensors[t][c].loss >= rows_.problem.tensors[t][pick[t]].loss) continue;
        std::vector<int64_t> after = sums;
        bool fits = true;
        for (size_t s = 0; s < sums.size() && fits; ++s) {
          if (const auto& row = rows_.sums[s].cost[t]; !row.empty()) after[s] += row[c] - row[pick[t]];
          fits = after[s] <= rows_.sums[s].limit;
        }
        if (!fits) continue;
        sums = after;
        pick[t] = c;
      }
    return pick;
  }

  int64_t loss_without(const LeftOut& left_out, size_t limit, int format) const {
    LeftOut with = left_out;
    with[limit].insert(format);
    const Pick pick = knapsack(with);
    return pick.empty() ? kInfinite : loss_of(rows_, pick);
  }

  std::set<int> all_formats(size_t limit) const {
    std::set<int> formats;
    for (size_t t = 0; t < rows_.open.size(); ++t)
      if (const auto& row = rows_.constraints.formats[limit].format[t]; !row.empty())
        for (const uint16_t c : rows_.open[t])
          if (row[c] >= 0) formats.insert(row[c]);
    return formats;
  }

  bool swap_one(size_t limit, std::set<int>& kept, LeftOut& left_out) const {
    const Pick now = knapsack(left_out);
    if (now.empty()) return false;
    const int64_t loss = loss_of(rows_, now);
    for (const int out : std::set<int>{kept})
      for (const int in : std::set<int>{left_out[limit]}) {
        if (late()) return false;
        LeftOut swapped = left_out;
        swapped[limit].erase(in);
        if (loss_without(swapped, limit, out) >= loss) continue;
        left_out[limit].erase(in);
        left_out[limit].insert(out);
        kept.erase(out);
        kept.insert(in);
        return true;
      }
    return false;
  }

  const Rows& rows_;
  const Prices& prices_;
  const Clock::time_point deadline_;
};

}  // namespace

Pick find_incumbent(const Rows& rows, const Prices& prices, Clock::time_point deadline) {
  const Heuristic heuristic{rows, prices, deadline};
  LeftOut left_out(rows.constraints.formats.size());
  for (size_t k = 0; k < left_out.size(); ++k) heuristic.leave_out(k, left_out);
  const Pick pick = heuristic.knapsack(left_out, /*exact=*/true);
  return !pick.empty() && satisfies(rows, pick) ? pick : Pick{};
}

}  // namespace snug::solver

#include <algorithm>
#include <bit>
#include <map>
#include <queue>

#include "solver/constrained.hpp"

namespace snug::solver {
namespace {

/// A set of formats that must be used only from now on: `in` are wanted, `out` are left out, the rest is
/// undecided.
struct Node {
  int64_t bound = 0;  // no pick of these sets has less loss
  uint64_t in = 0, out = 0;
  int branch = 0;                                                          // format to decide next
  bool operator<(const Node& other) const { return bound > other.bound; }  // the least bound comes first
};

/// Best first over sets of formats; the knapsack without a limit bounds and ends the nodes.
class FormatSearch {
 public:
  FormatSearch(const Rows& rows, const Pick& start, double gap, Clock::time_point deadline)
      : rows_(rows), limit_(rows.constraints.formats[0]), gap_(gap), deadline_(deadline), best_(start) {
    best_loss_ = start.empty() ? std::numeric_limits<int64_t>::max() : loss_of(rows, start);
    number_formats();
  }

  bool few_enough_formats() const { return number_.size() <= 64; }

  FormatSearchResult run() {
    consider({});
    while (!open_.empty() && Clock::now() < deadline_) {
      const Node node = open_.top();
      if (close_enough(node.bound)) break;
      open_.pop();
      const uint64_t bit = uint64_t{1} << node.branch;
      consider({0, node.in, node.out | bit, 0});
      consider({0, node.in | bit, node.out, 0});
    }
    const int64_t bound = open_.empty() ? best_loss_ : std::min(best_loss_, open_.top().bound);
    return {best_, bound};
  }

 private:
  struct Restricted {
    Problem problem;
    std::vector<std::vector<uint16_t>> original;  // choice in the whole problem
    bool feasible = true;
  };

  void number_formats() {
    for (size_t t = 0; t < rows_.open.size(); ++t)
      for (const uint16_t c : rows_.open[t])
        if (const int f = format_of(t, c); f >= 0) number_.emplace(f, static_cast<int>(number_.size()));
  }

  int format_of(size_t t, uint16_t c) const { return limit_.format[t].empty() ? -1 : limit_.format[t][c]; }

  uint64_t bit_of(size_t t, uint16_t c) const {
    const int f = format_of(t, c);
    return f < 0 ? 0 : uint64_t{1} << number_.at(f);
  }

  uint64_t all() const { return number_.size() == 64 ? ~uint64_t{0} : (uint64_t{1} << number_.size()) - 1; }

  bool keeps_limit(uint64_t used) const { return std::popcount(used) <= limit_.at_most; }

  bool close_enough(int64_t bound) const {
    if (best_.empty()) return false;
    return static_cast<double>(best_loss_ - bound) <= gap_ * static_cast<double>(best_loss_);
  }

  Restricted restricted(uint64_t out) const {
    Restricted r{{{}, rows_.problem.budget_bytes}, {}, true};
    for (size_t t = 0; t < rows_.open.size() && r.feasible; ++t) {
      auto& choices = r.problem.tensors.emplace_back();
      auto& original = r.original.emplace_back();
      for (const uint16_t c : rows_.open[t]) {
        if (bit_of(t, c) & out) continue;
        choices.push_back(rows_.problem.tensors[t][c]);
        original.push_back(c);
      }
      r.feasible = !choices.empty();
    }
    return r;
  }

  /// Formats a pick uses; keeps the pick if it is the best so far.
  uint64_t take(const Pick& pick) {
    uint64_t used = 0;
    for (size_t t = 0; t < pick.size(); ++t) used |= bit_of(t, pick[t]);
    if (const int64_t loss = loss_of(rows_, pick); keeps_limit(used) && loss < best_loss_) {
      best_ = pick;
      best_loss_ = loss;
    }
    return used;
  }

  /// Bounds the node, and opens it unless it holds nothing better or is solved.
  void consider(Node node) {
    if (std::popcount(node.in) >= limit_.at_most) node.out = all() & ~node.in;
    const Restricted r = restricted(node.out);
    if (!r.feasible) return;
    const Reduced reduced = reduce(r.problem);
    if (reduced.capacity < 0) return;
    const std::vector<Edge> edges = hull_edges(reduced);
    const Relaxation relaxed = relax(reduced, edges);
    const Wide scaled = relaxed.scaled_bound(reduced.capacity);
    node.bound = reduced.base_loss;
    if (scaled > 0) node.bound += static_cast<int64_t>((scaled + relaxed.price.den - 1) / relaxed.price.den);
    if (node.bound >= best_loss_) return;
    Pick pick;
    for (const uint32_t item : fill(reduced, edges, relaxed)) {
      const size_t t = pick.size();
      pick.push_back(r.original[t][reduced.of(static_cast<uint32_t>(t))[item].choice]);
    }
    uint64_t used = take(pick);
    if (keeps_limit(used) && solved_exactly(r, node, used)) return;
    node.branch = branch_of(node, pick, used);
    open_.push(node);
  }

  /// Solves the node's knapsack. True if that settles the node; else `used` and the bound are of its picks.
  bool solved_exactly(const Restricted& r, Node& node, uint64_t& used) {
    const double seconds = std::chrono::duration<double>(deadline_ - Clock::now()).count();
    const Solution s = solve(r.problem, {.seconds = seconds});
    node.bound = std::max(node.bound, s.claimed_bound);
    Pick pick = s.pick;
    for (size_t t = 0; t < pick.size(); ++t) pick[t] = r.original[t][pick[t]];
    used = take(pick);
    const bool settled = s.stop == SolveStatus::optimal && keeps_limit(used);
    return settled || (all() & ~node.out & ~node.in) == 0;
  }

  /// The undecided format that most tensors use; of those not used, the first.
  int branch_of(const Node& node, const Pick& pick, uint64_t used) const {
    const uint64_t undecided = all() & ~node.in & ~node.out;
    const uint64_t candidates = (used & undecided) ? used & undecided : undecided;
    int best = std::countr_zero(candidates), most = -1;
    for (uint64_t left = candidates; left != 0; left &= left - 1) {
      const int format = std::countr_zero(left);
      int count = 0;
      for (size_t t = 0; t < pick.size(); ++t) count += bit_of(t, pick[t]) == uint64_t{1} << format;
      if (count > most) {
        best = format;
        most = count;
      }
    }
    return best;
  }

  const Rows& rows_;
  const FormatLimit& limit_;
  const double gap_;
  const Clock::time_point deadline_;
  std::map<int, int> number_;  // of a format: its bit
  std::priority_queue<Node> open_;
  Pick best_;
  int64_t best_loss_;
};

}  // namespace

bool formats_alone(const Rows& rows) {
  if (rows.sums.size() != 1 || rows.constraints.formats.size() != 1 ||
      rows.constraints.formats[0].at_most < 0)
    return false;
  return FormatSearch{rows, {}, 0, {}}.few_enough_formats();
}

FormatSearchResult search_formats(const Rows& rows, const Pick& start, double gap,
                                  Clock::time_point deadline) {
  return FormatSearch{rows, start, gap, deadline}.run();
}

}  // namespace snug::solver

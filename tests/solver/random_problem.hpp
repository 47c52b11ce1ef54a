#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "snug/solve.hpp"

namespace snug::test {

/// Gives the choice with the fewest bytes the most loss, and so on: none dominates but by ties.
inline void trade_bytes_for_loss(std::vector<Choice>& choices) {
  std::vector<int64_t> losses;
  for (const Choice& c : choices) losses.push_back(c.loss);
  std::ranges::sort(choices, {}, &Choice::bytes);
  std::ranges::sort(losses, std::greater{});
  for (size_t c = 0; c < choices.size(); ++c) choices[c].loss = losses[c];
}

/// Small enough to enumerate, and made to be awkward: ties, zero losses, single choices, byte counts with a
/// common divisor, numbers near the limits. The budget lies anywhere from the smallest size to above the
/// largest.
inline Problem random_feasible_problem(uint64_t seed) {
  std::mt19937_64 random{seed};
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  constexpr int64_t kRanges[] = {2, 5, 30, 1000, 1'000'000'000'000, kSumLimit / 8};
  const int64_t bytes_range = kRanges[below(6)], loss_range = kRanges[below(6)];
  const int64_t unit = bytes_range <= 1000 && below(2) ? 512 : 1;
  Problem p;
  for (int64_t t = 1 + below(6); t > 0; --t) {
    auto& choices = p.tensors.emplace_back();
    const int64_t odd = below(3);
    for (int64_t c = 1 + below(6); c > 0; --c)
      choices.push_back({odd + unit * below(bytes_range), below(4) ? below(loss_range) : 0});
    if (below(4)) trade_bytes_for_loss(choices);
  }
  const ReachableBytes range = reachable(p);
  const int64_t span = range.largest - range.smallest;
  constexpr int kExtreme = 4;
  switch (below(3 * kExtreme)) {
    case 0:
      p.budget_bytes = range.smallest;
      break;
    case 1:
      p.budget_bytes = range.largest;
      break;
    case 2:
      p.budget_bytes = std::numeric_limits<int64_t>::max();
      break;
    default:
      p.budget_bytes = range.smallest + (span > 0 ? below(span) : 0);
  }
  return p;
}

/// Calls visit(pick, bytes, loss) for every way to pick.
inline void for_every_pick(const Problem& p,
                           const std::function<void(const std::vector<uint16_t>&, int64_t, int64_t)>& visit) {
  std::vector<uint16_t> pick(p.tensors.size(), 0);
  for (;;) {
    int64_t bytes = 0, loss = 0;
    for (size_t t = 0; t < pick.size(); ++t) {
      bytes += p.tensors[t][pick[t]].bytes;
      loss += p.tensors[t][pick[t]].loss;
    }
    visit(pick, bytes, loss);
    size_t t = 0;
    while (t < pick.size() && ++pick[t] == p.tensors[t].size()) pick[t++] = 0;
    if (t == pick.size()) return;
  }
}

/// The least loss within the budget, and the fewest bytes it takes.
inline Choice best_by_enumeration(const Problem& p) {
  Choice best{0, std::numeric_limits<int64_t>::max()};
  for_every_pick(p, [&](const auto&, int64_t bytes, int64_t loss) {
    if (bytes > p.budget_bytes) return;
    if (loss < best.loss || (loss == best.loss && bytes < best.bytes)) best = {bytes, loss};
  });
  return best;
}

/// Many tensors of random sizes, losses falling as bytes rise; the budget a third of the way up.
inline Problem synthetic_problem(size_t tensors, size_t choices, uint64_t seed) {
  std::mt19937_64 random{seed};
  Problem p;
  for (size_t t = 0; t < tensors; ++t) {
    const int64_t size = 1'000'000 + static_cast<int64_t>(random() % 100'000'000);
    int64_t bytes = size / 8, loss = 100'000'000 + static_cast<int64_t>(random() % 10'000'000'000);
    auto& row = p.tensors.emplace_back();
    for (size_t c = 0; c < choices; ++c) {
      row.push_back({bytes, loss});
      bytes += 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(size / 10));
      loss = loss / 10 * static_cast<int64_t>(4 + random() % 6) + static_cast<int64_t>(random() % 10);
    }
  }
  const ReachableBytes range = reachable(p);
  p.budget_bytes = range.smallest + (range.largest - range.smallest) / 3;
  return p;
}

}  // namespace snug::test

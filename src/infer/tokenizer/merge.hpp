#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace snug::infer {

/// A stretch of a word; neighbours by index, -1 at the ends.
struct Symbol {
  int32_t id = -1;
  uint32_t begin = 0, length = 0;  // bytes in the word; length 0: eaten by its left neighbour
  int32_t left = -1, right = -1;
};

/// What two neighbours would become; least key first.
template <class Key>
struct Merged {
  Key key;
  int32_t id;
};

template <class Key>
struct Candidate {
  Key key;
  int32_t left, right, id;
  uint32_t length;  // of both when it was queued

  /// For a heap with the least key on top, and of equals the leftmost.
  bool operator<(const Candidate& other) const {
    return key != other.key ? key > other.key : left > other.left;
  }
};

/// Joins neighbours, the least key first, until none joins: O(n log n) for n symbols.
///
///   symbols  in order, begin and length set; left and right are set here. Afterwards those of length 0 are
///   gone. heap     scratch find     (left symbol, right symbol) -> optional<Merged<Key>>
template <class Key, class Find>
void merge_symbols(std::vector<Symbol>& symbols, std::vector<Candidate<Key>>& heap, const Find& find) {
  const auto count = static_cast<int32_t>(symbols.size());
  const auto candidate = [&](int32_t left, int32_t right) -> std::optional<Candidate<Key>> {
    if (left < 0 || right < 0) return {};
    const Symbol &a = symbols[static_cast<size_t>(left)], &b = symbols[static_cast<size_t>(right)];
    const std::optional<Merged<Key>> merged = find(a, b);
    if (!merged) return {};
    return Candidate<Key>{merged->key, left, right, merged->id, a.length + b.length};
  };
  heap.clear();
  for (int32_t i = 0; i < count; ++i) {
    symbols[static_cast<size_t>(i)].left = i - 1;
    symbols[static_cast<size_t>(i)].right = i + 1 < count ? i + 1 : -1;
    if (const auto c = candidate(i - 1, i)) heap.push_back(*c);
  }
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate<Key> best = heap.back();
    heap.pop_back();
    Symbol &a = symbols[static_cast<size_t>(best.left)], &b = symbols[static_cast<size_t>(best.right)];
    if (!a.length || !b.length || a.length + b.length != best.length) continue;  // out of date
    a.id = best.id;
    a.length = best.length;
    a.right = b.right;
    b.length = 0;
    if (b.right >= 0) symbols[static_cast<size_t>(b.right)].left = best.left;
    for (const auto& c : {candidate(a.left, best.left), candidate(best.left, a.right)})
      if (c) {
        heap.push_back(*c);
        std::push_heap(heap.begin(), heap.end());
      }
  }
}

}  // namespace snug::infer

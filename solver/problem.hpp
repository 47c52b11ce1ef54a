#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "snug/solve.hpp"

namespace snug::solver {

__extension__ using Wide = __int128;

/// A choice that no other of its tensor beats in both bytes and loss.
struct Item {
  int64_t bytes = 0;    // above the tensor's fewest, in units
  int64_t loss = 0;     // above the tensor's least
  uint16_t choice = 0;  // index in the problem
};

/// The problem without dominated choices and without what every pick has in common: numbers as small as they
/// get.
struct Reduced {
  std::vector<Item> items;      // of all tensors; within a tensor bytes rise and loss falls, both strictly
  std::vector<uint32_t> first;  // [tensors + 1] offsets into items
  int64_t unit = 1;             // greatest common divisor of all differences in bytes, dropped choices' too
  int64_t base_bytes = 0, base_loss = 0;
  int64_t capacity = 0;  // units above base_bytes that the budget leaves; negative if infeasible

  uint32_t tensors() const { return static_cast<uint32_t>(first.size() - 1); }
  std::span<const Item> of(uint32_t t) const { return {items.data() + first[t], first[t + 1] - first[t]}; }
};

/// Throws Error unless the problem keeps to the limits in snug/solve.hpp.
void check_limits(const Problem& problem);
void check_limits(const Problem& problem, const Constraints& constraints);

Reduced reduce(const Problem& problem);

}  // namespace snug::solver

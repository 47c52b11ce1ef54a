#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace snug::infer {

/// What two symbols join to, by their ids: one array with open addressing, for it is asked twice for every
/// byte.
class PairTable {
 public:
  struct Entry {
    uint32_t rank;
    int32_t joined;
  };

  void reserve(size_t count) {
    slots_.assign(std::bit_ceil(count * 2 + 2), Slot{kFree, {}});
    shift_ = 64 - std::countr_zero(slots_.size());
  }

  /// The first entry of a pair stays. At most as many as reserved.
  void add(int32_t left, int32_t right, Entry entry) {
    Slot& slot = slots_[place(key(left, right))];
    if (slot.key == kFree) slot = {key(left, right), entry};
  }

  const Entry* find(int32_t left, int32_t right) const {
    const Slot& slot = slots_[place(key(left, right))];
    return slot.key == kFree ? nullptr : &slot.entry;
  }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};
  struct Slot {
    uint64_t key;
    Entry entry;
  };

  static uint64_t key(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t place(uint64_t wanted) const {
    size_t at = wanted * 0x9E3779B97F4A7C15u >> shift_;
    while (slots_[at].key != kFree && slots_[at].key != wanted) at = (at + 1) & (slots_.size() - 1);
    return at;
  }

  std::vector<Slot> slots_;
  int shift_ = 0;
};

}  // namespace snug::infer

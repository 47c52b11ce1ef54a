#pragma once

#include <cstdint>

#include "quant/codebooks/codebooks.hpp"

// What the encoders search the codebooks with. Built on first use (some ten milliseconds, any thread, no
// heap), then read only.

namespace snug {

/// Sixteen entries of a codebook as a vector kernel wants them.
///
/// iq1, iq2: byte k of `codes` holds levels 0..3 of candidate k, two bits each; byte 16 + k levels 4..7.
/// iq3: byte k holds level 0 low and 8 + level 1 high, byte 16 + k level 2 low and 8 + level 3 high.
struct Sixteen {
  alignas(32) uint8_t codes[32];
};

/// The sixteen entries nearest to a vector of levels (unweighted, in decoded values, nearest first, ties by
/// index), and which they are.
struct NearestEntries {
  Sixteen points;
  uint16_t entry[16];
};

/// Entries that share the second half of their levels, in index order: the first half, as in Sixteen, and
/// zeros after the last.
struct Alike {
  alignas(32) uint8_t low[32];  // iq3: sixteen at most
  uint32_t present;             // bit k: low[k] is the entry first + k
  uint16_t first;
};

/// All entries, by what they share. A point cannot cost less than half its levels do.
struct Shared {
  int count;            // of groups, at most 128
  const uint8_t* high;  // [128] the second half of the levels of each group, then zeros
  const Alike* groups;
};

constexpr int kThreeLevelKeys = 6561;  // level 0 + 3 level 1 + ... + 3^7 level 7
constexpr int kEightLevelKeys = 4096;  // level 0 + 8 level 1 + 64 level 2 + 512 level 3

template <class Value>
struct Book {
  int entries;
  const Value* values;            // [entries][8 or 4] what the levels decode to
  const Sixteen* all;             // [entries / 16] in index order
  const NearestEntries* nearest;  // by key
  Shared shared;
};

Book<int8_t> search_iq1() noexcept;
Book<uint8_t> search_iq2_xxs() noexcept;
Book<uint8_t> search_iq2_xs() noexcept;
Book<uint8_t> search_iq2_s() noexcept;
Book<uint8_t> search_iq3_xxs() noexcept;
Book<uint8_t> search_iq3_s() noexcept;

}  // namespace snug

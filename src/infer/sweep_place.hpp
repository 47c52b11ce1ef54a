#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/files/saved_numbers.hpp"
#include "infer/rows.hpp"
#include "infer/sweep.hpp"
#include "snug/digest.hpp"

namespace snug::infer {

/// Rows among other numbers; reading throws Error where there are none.
void write_rows(NumberWriter& write, const Activations& rows);
Activations read_rows(NumberReader& read);

/// Where a sequence stands before a block (Sweep::place), among other numbers.
void write_place(NumberWriter& write, const std::vector<Activations>& place);
/// Throws Error where it is none.
std::vector<Activations> read_place(NumberReader& read);

/// Where the sequences of a sweep stand before a block, in a file: what a start after a kill goes on from.
struct SavedSweep {
  std::filesystem::path path;  // empty: nothing is saved
  Digest key;                  // of all that the sweep depends on

  /// Replaces the file whole.
  void save(const Sweep& sweep, std::span<const size_t> sequences, int block) const;
  /// The block that was saved, if it was of this key: sequences(block) are then asked for, that have begun, and put
  /// before it. Nothing where there is no such file or it is damaged, which is logged: sequences may then stand
  /// anywhere.
  std::optional<int> load(Sweep& sweep, int blocks, const std::function<std::vector<size_t>(int block)>& sequences) const;
  void remove() const;
};

}  // namespace snug::infer

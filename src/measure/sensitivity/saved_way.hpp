#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/files/slot_file.hpp"
#include "base/save_clock.hpp"
#include "infer/reverse/saved_reverse.hpp"
#include "infer/sweep.hpp"
#include "measure/hidden_states.hpp"
#include "snug/digest.hpp"

namespace snug {

/// Where a way there and back is saved for a later start to go on from.
struct SaveWay {
  std::filesystem::path path{};  // and names that begin with it; empty: nowhere
  double seconds = 30;           // at least, between two times
};

/// The way of some chunks through a model and back, in files: where their sequences stand on the way there, the
/// hidden states before each block, and where their passes stand on the way back. What comes of it does not depend on
/// whether, where and how often it was saved; where the disk refuses, that is told and nothing more is saved.
class SavedWay {
 public:
  using Hidden = std::vector<HiddenStates*>;  // of each chunk

  /// tokens: of a chunk. key: of all that the way depends on.
  SavedWay(const infer::Model& model, int64_t tokens, SaveWay where, const Digest& key);

  bool due() const { return !where_.path.empty() && clock_.due(); }

  /// Sequences stand before `block`, and hidden states before all earlier ones are kept.
  void save_there(const infer::Sweep& sweep, std::span<const size_t> sequences, int block, const Hidden& hidden);
  /// The stage comes next, and the hidden states before the block of that number are still wanted.
  void save_back(int stage, const std::vector<const infer::ReversePass*>& passes, const Hidden& hidden,
                 const std::function<void(NumberWriter&, size_t pass)>& besides);

  /// The block that sequences, which have begun, stand before on the way there; the hidden states before earlier ones
  /// are given to `hidden`, which have none. Nothing where that was not saved or is damaged: both may be anywhere then.
  std::optional<int> go_on_there(infer::Sweep& sweep, const std::vector<size_t>& sequences, const Hidden& hidden);
  /// The stage that comes next on the way back, in the same manner.
  std::optional<int> go_on_back(const std::vector<infer::ReversePass*>& passes, const Hidden& hidden,
                                const std::function<void(NumberReader&, size_t pass)>& besides);

  /// It has come to its end.
  void remove() const;

 private:
  std::filesystem::path back_path() const { return where_.path.string() + "-back"; }
  std::filesystem::path states_path() const { return where_.path.string() + "-states"; }
  void save(const std::function<void()>& write);
  void write_states(const Hidden& hidden, int blocks);
  bool read_states(const Hidden& hidden, int blocks);
  SlotFile& states();

  const infer::Model& model_;
  int64_t tokens_;
  SaveWay where_;
  Digest key_;
  SaveClock clock_;
  std::optional<SlotFile> states_;
  int written_ = 0;  // blocks before which hidden states are in the file
};

}  // namespace snug

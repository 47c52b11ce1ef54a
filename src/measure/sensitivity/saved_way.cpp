#include "measure/sensitivity/saved_way.hpp"

#include <algorithm>
#include <utility>

#include "base/events.hpp"
#include "base/str.hpp"
#include "infer/sweep_place.hpp"
#include "snug/error.hpp"

namespace snug {

SavedWay::SavedWay(const infer::Model& model, int64_t tokens, SaveWay where, const Digest& key)
    : model_{model}, tokens_{tokens}, where_{std::move(where)}, key_{key}, clock_{where_.seconds} {}

SlotFile& SavedWay::states() {
  if (!states_) states_.emplace(states_path(), key_, tokens_ * model_.hparams().embedding * int64_t{sizeof(float)});
  return *states_;
}

/// Those before blocks [0, blocks), of which some are there.
void SavedWay::write_states(const Hidden& hidden, int blocks) {
  for (; written_ < blocks; ++written_)
    for (size_t chunk = 0; chunk < hidden.size(); ++chunk)
      states().put(written_ * std::ssize(hidden) + static_cast<int64_t>(chunk),
                   std::as_bytes(std::as_const(*hidden[chunk]).copy(written_).values()));
}

bool SavedWay::read_states(const Hidden& hidden, int blocks) {
  for (int block = 0; block < blocks; ++block)
    for (size_t chunk = 0; chunk < hidden.size(); ++chunk) {
      infer::Activations rows = infer::Activations::unset(tokens_, model_.hparams().embedding);
      const int64_t slot = block * std::ssize(hidden) + static_cast<int64_t>(chunk);
      if (!states().get(slot, std::as_writable_bytes(rows.values()))) return false;
      hidden[chunk]->keep(std::move(rows));
    }
  written_ = blocks;
  return true;
}

/// A disk without room for it is no reason to end.
void SavedWay::save(const std::function<void()>& write) {
  try {
    clock_.run(write);
  } catch (const Error& error) {
    if (error.fault() != Fault::io) throw;
    log_line(str("where the way there and back stands cannot be saved, a stop would lose it: ", error.what()));
    states_.reset();
    remove();
    where_.path.clear();
  }
}

void SavedWay::save_there(const infer::Sweep& sweep, std::span<const size_t> sequences, int block,
                          const Hidden& hidden) {
  save([&] {
    write_states(hidden, block);
    infer::SavedSweep{where_.path, key_}.save(sweep, sequences, block);
  });
}

void SavedWay::save_back(int stage, const std::vector<const infer::ReversePass*>& passes, const Hidden& hidden,
                         const std::function<void(NumberWriter&, size_t)>& besides) {
  save([&] {
    write_states(hidden, stage + 1);
    infer::SavedReverse{back_path(), key_}.save(stage, passes, besides);
  });
}

std::optional<int> SavedWay::go_on_there(infer::Sweep& sweep, const std::vector<size_t>& sequences,
                                         const Hidden& hidden) {
  const infer::SavedSweep saved{where_.path, key_};
  const auto block = saved.load(sweep, model_.layers(), [&](int) { return sequences; });
  if (!block || !read_states(hidden, *block)) return std::nullopt;
  log_line(str("going on before block ", *block));
  return block;
}

std::optional<int> SavedWay::go_on_back(const std::vector<infer::ReversePass*>& passes, const Hidden& hidden,
                                        const std::function<void(NumberReader&, size_t)>& besides) {
  if (where_.path.empty()) return std::nullopt;
  const auto stage = infer::SavedReverse{back_path(), key_}.load(passes, besides);
  if (!stage || *stage >= model_.layers() || !read_states(hidden, *stage + 1)) return std::nullopt;
  log_line(str("going on, on the way back, ", *stage < 0 ? "at the embeddings" : str("at block ", *stage)));
  return stage;
}

void SavedWay::remove() const {
  if (where_.path.empty()) return;
  for (const auto& path : {where_.path, back_path()}) infer::SavedSweep{path, {}}.remove();
  std::filesystem::remove(states_path());
}

}  // namespace snug

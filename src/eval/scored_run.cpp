#include "eval/scored_run.hpp"

#include <algorithm>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"

namespace snug::infer {
namespace {

constexpr int64_t kLogitBytes = 64 << 20;  // of a piece
constexpr int64_t kLeastRows = 32;

}  // namespace

ScoredRun::ScoredRun(const Session& session, const Chunks& chunks, int64_t count, std::optional<int32_t> bos)
    : model_{session.model()},
      options_{session.options()},
      how_{&session.hooks, &session.replaced()},
      chunks_{chunks},
      count_{count},
      bos_{bos},
      reads_{model_} {}

/// Cut where a session's batches end, and where the logits would take much memory.
std::vector<ScoredRun::Piece> ScoredRun::pieces() const {
  const int64_t most = std::max(kLeastRows, kLogitBytes / (model_.vocabulary() * static_cast<int64_t>(sizeof(float))));
  std::vector<Piece> all;
  for (int64_t row = 0; row < chunks_.scored();) {
    const int64_t token = chunks_.first() + row, batch_end = (token / options_.batch + 1) * options_.batch;
    const int64_t end = std::min({chunks_.scored(), batch_end - chunks_.first(), row + most});
    all.push_back({row, end});
    row = end;
  }
  return all;
}

Activations ScoredRun::logits(int64_t chunk, const Piece& piece) {
  if (chunk >= end_) run(end_, stays_in_memory(model_.source().bytes()) ? chunk + 1 : count_);
  if (chunk != chunk_) hidden_ = sweep_->hidden(static_cast<size_t>(chunk - first_), chunks_.first());
  chunk_ = chunk;
  Activations rows = Activations::unset(piece.end - piece.first, hidden_.width());
  std::copy_n(hidden_.at(piece.first), rows.values().size(), rows.at(0));
  Activations logits = sweep_->head(rows, how_);
  if (chunk + 1 == count_ && piece.end == chunks_.scored()) {
    reads_.done_with(WeightReads::kOutside);
    reads_.tell("evaluating");
  }
  return logits;
}

void ScoredRun::run(int64_t first, int64_t end) {
  sweep_ = std::make_unique<Sweep>(model_, options_, memory_for(MemoryUse::hidden_states));
  first_ = first;
  end_ = end;
  for (int64_t chunk = first; chunk < end; ++chunk) {
    const std::span<const int32_t> text = chunks_.chunk(chunk);
    std::vector<int32_t> tokens(text.begin(), text.end() - 1);  // the last one predicts nothing that is scored
    if (bos_) tokens.front() = *bos_;
    sweep_->begin(tokens, how_);
  }
  std::optional<Progress> progress;
  if (end - first > 1) progress.emplace("running layer by layer", model_.layers() * (end - first), Progress::Unit::items);
  for (int block = 0; block < model_.layers(); ++block) {
    reads_.will_need(block + 1);
    for (size_t s = 0; s < static_cast<size_t>(end - first); ++s) {
      check_cancelled();
      sweep_->step(s, how_);
      if (progress) progress->advance(1, str("block ", block));
    }
    reads_.done_with(block);
  }
}

}  // namespace snug::infer

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "eval/base_logits.hpp"
#include "infer/sweep.hpp"
#include "infer/weight_reads.hpp"

namespace snug::infer {

/// A model's run over chunks of a text, for the logits of their scored tokens, chunk by chunk. A model that stays in
/// memory is run chunk by chunk too, of another all chunks go through a layer before the next is read.
class ScoredRun {
 public:
  /// The first `count` chunks, as `session` would run them, with what stands in for weights in it; `bos` replaces the
  /// first token of each. The session's context is that of the chunks, and it outlives this.
  ScoredRun(const Session& session, const Chunks& chunks, int64_t count, std::optional<int32_t> bos);

  /// Scored rows whose logits exist at a time.
  struct Piece {
    int64_t first = 0, end = 0;
  };
  std::vector<Piece> pieces() const;
  /// [piece, vocabulary], as a session gives them. Chunks are asked for in order.
  Activations logits(int64_t chunk, const Piece& piece);
  const Model& model() const { return model_; }

 private:
  void run(int64_t first, int64_t end);

  const Model& model_;
  const SessionOptions options_;
  const SweepStep how_;
  const Chunks& chunks_;
  int64_t count_, first_ = 0, end_ = 0;  // chunks [first_, end_) have been run
  std::optional<int32_t> bos_;
  std::unique_ptr<Sweep> sweep_;
  WeightReads reads_;
  int64_t chunk_ = -1;
  Activations hidden_;  // of chunk_
};

}  // namespace snug::infer

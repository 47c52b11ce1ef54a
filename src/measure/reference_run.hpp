#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "encode/encode_tensor.hpp"
#include "infer/model.hpp"
#include "infer/session.hpp"
#include "measure/chunk_comparison.hpp"
#include "measure/probe.hpp"
#include "measure/text_chunks.hpp"
#include "snug/digest.hpp"

namespace snug {

/// The first block that reads the tensor; layers() for the head.
int first_block_of(const infer::Model& model, std::string_view tensor);

/// The original's run over the chunks of a text: the hidden states from which probes start again, and what
/// its predictions are compared with. Chunks are run when they are first needed. Exact mode.
class ReferenceRun {
 public:
  /// Throws Error if the text is shorter than two chunks or a token is not in the vocabulary.
  ReferenceRun(const infer::Model& model, std::span<const int32_t> tokens, const ProbeOptions& options);

  int64_t chunks() const { return static_cast<int64_t>(chunks_.size()); }
  int64_t scored() const { return text_.scored(); }  // tokens of a chunk
  const TextChunks& text() const { return text_; }
  Digest chunk_digest(int64_t chunk) const { return text_.digest(chunk); }

  /// Runs the original, and what is in its place, on those of these chunks that have not been run.
  void prepare(std::span<const int64_t> chunks);
  /// The first `count`.
  void prepare(int64_t count);
  /// What the original has behind the last block, of the scored tokens of a prepared chunk.
  Matrix<const float> original_last(int64_t chunk) const {
    return chunks_[static_cast<size_t>(chunk)].original_last.view();
  }
  /// With what is in its place, before a block but the first, [context, embedding]; behind the last, of the scored
  /// tokens alone.
  Matrix<const float> hidden(int64_t chunk, int block) const;
  /// Whether memory allows to keep all of these, and every block can be started from them.
  bool keeps_every_block() const;
  double seconds_per_chunk() const { return originals_ ? seconds_ / static_cast<double>(originals_) : 0; }

  /// From now on runs have these in place (empty: nothing), and probes are on top of them; what they are
  /// compared with stays the original. The caller keeps them alive. Not while runs are under way.
  void set_overrides(std::vector<const Encoded*> ground);
  std::span<const Encoded* const> overrides() const { return ground_; }
  /// The original beside itself with the ground in place, on a prepared chunk.
  ChunkComparison overridden_comparison(int64_t chunk) const;

  /// Mean KL(original || with `probe` in place) over the chunk's scored tokens, in nats. `layer` is the first
  /// block that reads the tensor; layers() for the head. The chunk was prepared. May be called from several
  /// threads.
  double divergence(const Encoded& probe, int layer, int64_t chunk) const;
  /// The same with `tensor`, part of the ground, as in the original.
  ChunkComparison comparison_without(std::string_view tensor, int layer, int64_t chunk) const;

 private:
  struct Chunk {
    std::span<const int32_t> tokens;
    std::map<int, infer::Activations> hidden;  // with the ground, before a block: [context, embedding]
    infer::Activations last;                   // with the ground, behind the last block, of scored tokens
    infer::Activations original_last;
    infer::Activations logits;  // of the original: [scored, vocabulary]; empty where memory does not allow
    std::vector<double> log_sums;  // of each row of them
    bool has_original = false, has_ground = false;  // run
  };
  class PooledSession;  // a session of the pool

  void choose_what_to_keep(int64_t memory_bytes);
  ChunkComparison from(infer::Session& session, int layer, const Chunk& chunk) const;
  std::vector<Chunk*> without(std::span<const int64_t> chunks, bool Chunk::* what);
  void prepare_originals(std::span<const int64_t> chunks);
  bool keeps(int layer) const;
  void run_original(Chunk& chunk) const;
  void run_ground(Chunk& chunk) const;
  ChunkComparison compare(infer::Session& session, const Chunk& chunk, const infer::Activations& last) const;
  int start_for(int layer, const Chunk& chunk) const;
  std::span<const int32_t> scored_tokens(const Chunk& chunk) const;

  const infer::Model& model_;
  TextChunks text_;
  int stride_ = 1;  // every so many blocks the hidden state is kept
  bool keep_logits_ = true;
  std::vector<Chunk> chunks_;
  std::vector<const Encoded*> ground_;
  int64_t originals_ = 0;  // chunks that the original was run on
  double seconds_ = 0;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<infer::Session>> idle_;
};

}  // namespace snug

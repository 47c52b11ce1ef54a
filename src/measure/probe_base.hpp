#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "infer/model.hpp"
#include "infer/session.hpp"
#include "measure/probe.hpp"
#include "snug/digest.hpp"

namespace snug {

/// A tensor's stand-in while it is probed.
struct Encoded {
  std::string_view tensor;
  const Format* format = nullptr;
  std::vector<std::byte> data;
  double rho = 0;
};

/// The original's run over the chunks of a text: the hidden states from which probes start again, and what
/// its predictions are compared with. Chunks are run when they are first needed. Exact mode.
class ProbeBase {
 public:
  /// Throws Error if the text is shorter than two chunks or a token is not in the vocabulary.
  ProbeBase(const infer::Model& model, std::span<const int32_t> tokens, const ProbeOptions& options);

  int64_t chunks() const { return static_cast<int64_t>(chunks_.size()); }
  int64_t scored() const { return context_ - first_; }  // tokens of a chunk
  Digest chunk_digest(int64_t chunk) const;             // of its tokens and which of them are scored

  /// Runs the original on those of the first `count` chunks that have not been run.
  void prepare(int64_t count);
  double seconds_per_chunk() const { return prepared_ ? seconds_ / static_cast<double>(prepared_) : 0; }

  /// Mean KL(original || with `probe` in place) over the chunk's scored tokens, in nats. `layer` is the first
  /// block that reads the tensor; layers() for the head. The chunk was prepared. May be called from several
  /// threads.
  double divergence(const Encoded& probe, int layer, int64_t chunk) const;

 private:
  struct Chunk {
    std::vector<int32_t> tokens;
    std::map<int, infer::Rows> hidden;  // before a block: [context, embedding]
    infer::Rows last;                   // behind the last block, of scored tokens
    infer::Rows logits;                 // [scored, vocabulary]; empty where memory does not allow
  };
  class Borrowed;  // a session of the pool

  void choose_what_to_keep(int64_t memory_bytes);
  void run(Chunk& chunk) const;
  int start_for(int layer, const Chunk& chunk) const;
  std::span<const int32_t> scored_tokens(const Chunk& chunk) const;

  const infer::Model& model_;
  int64_t context_, first_;
  int stride_ = 1;  // every so many blocks the hidden state is kept
  bool keep_logits_ = true;
  std::vector<Chunk> chunks_;
  int64_t prepared_ = 0;
  double seconds_ = 0;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<infer::Session>> idle_;
};

}  // namespace snug

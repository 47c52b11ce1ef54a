#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "infer/model.hpp"
#include "infer/row_store.hpp"
#include "infer/session.hpp"
#include "infer/step.hpp"

namespace snug::infer {

/// What a step is shown to (on_linear), and what stands in for weights of the model; the caller keeps both.
struct SweepStep {
  const Hooks* hooks = nullptr;
  const Replacements* replaced = nullptr;
};

/// Many sequences on their way through a model, each whole and by itself, block by block: a caller that takes all of
/// them through one block before the next reads the model once, however many there are. Between blocks their hidden
/// states wait in memory, or beyond a limit in a scratch file. Gives the bits that sessions would: of the same
/// context, batch and cache, one for each sequence. Threads may take different sequences a step on at once.
class Sweep {
 public:
  /// memory_bytes: for what waits. Throws Error as Session does.
  Sweep(const Model& model, const SessionOptions& options, int64_t memory_bytes);

  /// A sequence, `context` tokens at most, at position 0: through the embeddings. Returns its number. Throws Error
  /// where a token is not in the vocabulary.
  size_t begin(std::span<const int32_t> tokens, const SweepStep& how = {});
  /// Another one that has come as far as `of`.
  size_t branch(size_t of);
  /// Forgets a sequence.
  void end(size_t sequence);

  /// Takes a sequence through its next block; unless `goes_on` it stays before it.
  void step(size_t sequence, const SweepStep& how = {}, bool goes_on = true);
  int next_block(size_t sequence) const { return at(sequence).block; }
  std::span<const int32_t> tokens(size_t sequence) const { return at(sequence).tokens; }
  /// Rows from `first` on of the residual stream: [tokens - first, embedding].
  Activations hidden(size_t sequence, int64_t first = 0) const;

  /// Where a sequence stands before a block, to be kept elsewhere; and how one that has begun is put there.
  std::vector<Activations> place(size_t sequence) const;
  void stand(size_t sequence, int block, std::vector<Activations> place);

  /// Logits [rows, vocabulary] of rows behind the last block.
  Activations head(const Activations& hidden, const SweepStep& how = {}) const;

  int64_t spilled_bytes() const { return store_.spilled_bytes(); }

 private:
  using Rows = std::shared_ptr<StoredRows>;
  struct Sequence {
    std::vector<int32_t> tokens;
    int block = 0;  // the next one
    Rows hidden, extra;
    std::map<int, Rows> lent;  // keys and values, by the block that lends them
  };
  /// What one sequence at a time needs on its way through a block.
  struct Workshop {
    SequenceState memory;  // of one block, and of those that it borrows from
    int block = -1;
    std::map<std::pair<int64_t, int64_t>, std::map<const Rope*, RopeTable>> tables;  // by first token and count
  };
  class Borrowed;

  Sequence& at(size_t sequence);
  const Sequence& at(size_t sequence) const;
  size_t add(Sequence sequence);
  Batch batch_of(const Sequence& sequence, int64_t begin, int64_t end, SequenceState& memory, const SweepStep& how) const;
  KvCache cache_of(int block) const;
  void set_up(Workshop& shop, const Sequence& sequence) const;
  void run_block(Workshop& shop, const Sequence& sequence, const SweepStep& how, Activations& x) const;
  Rows pack(const KvCache& cache);

  const Model& model_;
  SessionOptions options_;
  RowStore store_;
  mutable std::mutex mutex_;
  std::deque<Sequence> sequences_;
  std::vector<std::unique_ptr<Workshop>> idle_;
};

}  // namespace snug::infer

#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <span>
#include <vector>

#include "infer/kv_cache.hpp"
#include "infer/layers/rope.hpp"
#include "infer/rows.hpp"
#include "infer/weight.hpp"

namespace snug::infer {

/// Calls out of a forward pass, in the order of computation, from the thread that called forward().
struct Hooks {
  /// The input of every matrix product: inputs [tokens, weight.cols]; `matrix` is the expert (or head) of a
  /// 3-D weight and `inputs` then holds only the tokens routed to it. Weights that share an input are
  /// reported one by one.
  std::function<void(const Weight& weight, int64_t matrix, Matrix<const float> inputs)> on_linear;
  /// The residual stream before block `layer` (layer == layers: after the last), one row for each token from
  /// `first_position` on. Session::resume() starts again from such rows.
  std::function<void(int layer, int64_t first_position, Matrix<const float> hidden)> on_boundary;
};

/// Weights that stand in for those of the model: same shape, other format and bytes.
using Replacements = std::map<const Weight*, Weight>;

/// Everything a session remembers of the tokens it has seen.
struct SequenceState {
  std::vector<KvCache> kv;             // one per layer; no cells where the layer stores nothing
  std::vector<RecurrentState> states;  // one per layer
};

/// Consecutive tokens of one sequence: rows [begin, begin + count) of a step.
struct SequenceSlice {
  SequenceState* memory = nullptr;
  int64_t first_position = 0;
  int64_t begin = 0, count = 0;
};

/// One batch of tokens on its way through the model: those of one sequence, or of several, one lane each.
struct Batch {
  std::span<const int32_t> tokens;
  std::vector<SequenceSlice> lanes;  // one after the other, all tokens
  int64_t context = 0;  // allocated: of the session, rounded up to 256
  Compute compute = Compute::exact;
  const Hooks& hooks;
  const Replacements& replaced;

  std::map<const Rope*, RopeTable> rope_tables{};
  Activations extra{};  // whatever the architecture's embed() leaves for its layers

  int64_t count() const { return static_cast<int64_t>(tokens.size()); }
  std::vector<int64_t> positions() const;  // of each token in its sequence
  const RopeTable& table(const Rope& rope);
  const Weight& current(const Weight& weight) const;
};

/// y = scale * (W x) + bias: x [tokens, cols] -> [tokens, rows]
Activations apply(const Batch& step, const Linear& linear, const Activations& x, int64_t matrix = 0);
/// Several with the same input: cheaper than one by one.
std::vector<Activations> apply_each(const Batch& step, std::initializer_list<const Linear*> linears,
                                    const Activations& x, int64_t matrix = 0);

/// Rows of a matrix looked up by token id: [tokens, cols]. Ids were checked against the vocabulary.
Activations look_up(const Batch& step, const Weight& table);

}  // namespace snug::infer

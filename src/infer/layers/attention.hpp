#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "infer/layers/attend.hpp"
#include "infer/layers/rope.hpp"
#include "infer/loader.hpp"
#include "infer/reverse/chunk_attention.hpp"
#include "infer/reverse/reverse.hpp"
#include "infer/step.hpp"

namespace snug::infer {

/// What the attention of one block looks like; filled in by the architecture.
struct AttentionShape {
  int64_t embedding = 0, heads = 0, kv_heads = 0, head_dim = 0;
  float scale = 1;
  float soft_cap = 0;
  int64_t window = 0;          // 0: full attention
  const Rope* rope = nullptr;  // owned by the architecture
  float rms_eps = 0;           // of q and k norms
  bool scale_queries = false;  // the scale multiplies q instead of the score (rounding only)
  float temperature = 0;       // queries at p times 1 + temperature * ln(floor(p / temperature_context) + 1)
  int64_t temperature_context = 0;
};

/// What attention takes from its input: attn_q, attn_k and attn_v, or attn_qkv, whose rows are theirs after each
/// other.
class Qkv {
 public:
  struct Projected {
    Activations q, k, v;
  };
  Qkv() = default;
  Qkv(Loader& loader, int64_t layer, int64_t embedding, int64_t q_width, int64_t kv_width);
  Projected operator()(const Batch& step, const Activations& a) const;
  /// By `a`, from the gradients by what was projected.
  Activations reverse(const Reverse& reverse, const Activations& a, const Projected& g) const;

 private:
  int64_t q_width_ = 0, kv_width_ = 0;
  Linear qkv_, q_, k_, v_;
};

/// Self-attention of the generic kind: q, k, v (or one fused matrix), optional biases, q and k norms, RoPE,
/// sinks.
class Attention {
 public:
  Attention() = default;
  Attention(Loader& loader, int64_t layer, const AttentionShape& shape);

  void load_head_norms(Loader& loader, bool required);  // attn_q_norm, attn_k_norm
  void load_sinks(Loader& loader);                      // attn_sinks, required

  /// a: the normalised input of block `layer`. Stores its keys and values; returns attn_output's result.
  Activations operator()(Batch& step, const Activations& a) const;
  LayerCacheShape memory() const;

  /// The same over a whole sequence from position 0 on, with what reverse() needs.
  struct Trace {
    Activations q, k;  // as projected, before norms
    ChunkAttention heads;
    Activations seen, result;  // before and behind attn_output
  };
  Trace retrace(Batch& step, const Activations& a) const;
  /// By `a`, from g [draws * tokens, embedding] by the result.
  Activations reverse(const Reverse& reverse, const Activations& a, const Trace& trace, const Activations& g) const;

 private:
  AttendArgs attend_args(Compute compute) const;
  void turn(Batch& step, Activations& q, Activations& k) const;

  AttentionShape shape_;
  int64_t layer_ = 0;
  Qkv qkv_;
  Linear out_;
  std::vector<float> q_norm_, k_norm_, sinks_;
};

/// Columns [first, first + width) of every row.
Activations columns(const Activations& x, int64_t first, int64_t width);

/// Stores one row of keys and values for each token of the step.
void store(const Batch& step, int64_t layer, const Activations& keys, const Activations& values);

/// The tokens of one lane.
Activations rows_of(const SequenceSlice& lane, const Activations& x);

/// attend() for every lane over what its sequence has stored in the layer.
Activations attend(const Batch& step, int64_t layer, const AttendArgs& args, const Activations& queries);

/// Queries at position p times 1 + temperature * ln(floor(p / context) + 1); of several draws' gradients, row i is
/// that of token i % tokens.
void apply_temperature(const Batch& step, Activations& queries, float temperature, int64_t context);

}  // namespace snug::infer

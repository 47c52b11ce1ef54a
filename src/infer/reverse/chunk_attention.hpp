#pragma once

#include <vector>

#include "infer/layers/attend.hpp"
#include "infer/rows.hpp"

namespace snug::infer {

/// attend() over one whole sequence that begins at position 0, and the way back. Keeps the probabilities of all
/// heads: heads * tokens^2 values.
class ChunkAttention {
 public:
  ChunkAttention() = default;
  /// q [tokens, heads * key_dim]; k, v [tokens, kv_heads * key_dim and * value_dim].
  ChunkAttention(const AttendArgs& args, Activations q, Activations k, Activations v);

  Activations output() const;  // [tokens, heads * value_dim]

  /// By q, k and v as they were given, from g [draws * tokens, heads * value_dim] by output().
  struct Gradients {
    Activations q, k, v;
  };
  Gradients reverse(const Activations& g) const;

  const Activations& keys() const { return k_; }
  const Activations& values() const { return v_; }

 private:
  int64_t tokens() const { return q_.count(); }
  int64_t first_key(int64_t t) const;
  float* scores(int64_t head, int64_t t);
  const float* scores(int64_t head, int64_t t) const;
  void score(int64_t head);
  void reverse_head(int64_t head, int64_t draw, const Activations& g, Gradients& out) const;

  AttendArgs args_;
  Activations q_, k_, v_;
  std::vector<float> probabilities_;  // [heads, tokens, tokens]
  std::vector<float> slopes_;         // of the soft cap, the same shape; empty without one
};

}  // namespace snug::infer

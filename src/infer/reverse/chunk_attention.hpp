#pragma once

#include <vector>

#include "infer/layers/attend.hpp"
#include "infer/rows.hpp"

namespace snug::infer {

/// attend() over one whole sequence that begins at position 0, and the way back, in the bits of sums taken one key, or
/// one token, after the other. Keeps the probabilities of all heads: heads * tokens^2 values.
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
  int64_t kv_head(int64_t head) const { return head / (args_.heads / args_.kv_heads); }
  float* scores(int64_t head, int64_t t) { return probabilities_.data() + (head * tokens() + t) * tokens(); }
  const float* scores(int64_t head, int64_t t) const { return probabilities_.data() + (head * tokens() + t) * tokens(); }
  const float* slopes(int64_t head, int64_t t) const { return slopes_.data() + (head * tokens() + t) * tokens(); }

  void score(int64_t head);
  void normalise(int64_t head, int64_t t);
  void reverse_head(int64_t head, int64_t draw, const Activations& g, Gradients& out) const;
  void reverse_scores(int64_t head, Activations& by) const;

  /// products [t, key] = <a [t], b [key]>: of all keys that a token sees, and of some more.
  void inner_products(const Activations& a, const Activations& b, float* products) const;
  /// to [t, ...] += sum over keys that t sees of factors [t, key] * from [key, ...], the keys in order.
  void mix_keys(const float* factors, const float* from, int64_t from_stride, int64_t width, float* to,
                int64_t to_stride) const;
  /// to [key, ...] += sum over tokens that see it of factors [t, key] * from [t, ...], the tokens in order.
  void mix_tokens(const float* factors, const float* from, int64_t from_stride, int64_t width, float* to,
                  int64_t to_stride) const;

  AttendArgs args_;
  Activations q_, k_, v_;
  std::vector<float> probabilities_;  // [heads, tokens, tokens]; 0 where a token does not see a key
  std::vector<float> slopes_;         // of the soft cap, the same shape; empty without one
};

}  // namespace snug::infer

#pragma once

#include <cstdint>
#include <vector>

#include "infer/architecture.hpp"
#include "infer/layers/feed_forward.hpp"
#include "infer/layers/ops.hpp"

namespace snug::infer {

struct DeepSeek2Block {
  std::vector<float> attn_norm, ffn_norm;
  Linear q, q_a, q_b;  // q, or q_a and q_b with a norm between them
  std::vector<float> q_a_norm;
  Linear kv_a;  // latent, then the rotated part of the key, which all heads share
  std::vector<float> kv_a_norm;
  Linear k_b, v_b;  // per head: latent keys out of queries, values out of the latent
  Linear kv_b;      // older files: keys and values out of the latent, instead of k_b and v_b
  Linear out;
  FeedForward ffn;
};

class DeepSeek2 : public Architecture {
 public:
  explicit DeepSeek2(const ArchitectureInputs& source);

  void layer(Batch& step, int layer, Activations& x) const override {
    const DeepSeek2Block& block = blocks_[static_cast<size_t>(layer)];
    add(x, attention(step, layer, rms_norm(x, block.attn_norm, eps_)));
    add(x, block.ffn(step, rms_norm(x, block.ffn_norm, eps_)));
  }

  LayerCacheShape memory(int layer) const override {
    if (blocks_[static_cast<size_t>(layer)].kv_b)
      return {.key_width = heads_ * key_dim(), .value_width = heads_ * value_dim_};
    return {.key_width = latent_ + rotated_};
  }

  bool reverses(int) const override { return true; }
  void reverse_layer(Reverse& reverse, int layer, const Activations& x, Activations& g) const override;

 private:
  int64_t key_dim() const { return plain_ + rotated_; }
  void load_scale(const ArchitectureInputs& source);
  DeepSeek2Block load_block(const ArchitectureInputs& source, int64_t l) const;
  void load_keys_and_values(const ArchitectureInputs& source, int64_t l, DeepSeek2Block& block) const;
  FeedForward load_ffn(const ArchitectureInputs& source, int64_t l) const;

  void temper(const Batch& step, Activations& queries) const {
    if (temperature_ != 0)
      apply_temperature(step, queries, temperature_, temperature_context_);
  }
  Activations attention(Batch& step, int layer, const Activations& a) const;
  Activations latent_attention(Batch& step, int layer, const Activations& q, const Activations& latent,
                               const Activations& rotated) const;
  Activations plain_attention(Batch& step, int layer, const Activations& q, const Activations& latent,
                              const Activations& rotated) const;

  Activations latent_queries(const Batch& step, const DeepSeek2Block& block, const Activations& q) const;
  struct KeysAndValues {
    Activations keys, values;
  };
  KeysAndValues plain_keys(const Activations& kv, const Activations& rotated) const;
  AttendArgs attend_args(bool plain, Compute compute) const;
  class AttentionWay;  // through one block's attention and back

  int64_t heads_, latent_, rotated_, plain_ = 0, value_dim_ = 0;
  float eps_, scale_ = 1, temperature_ = 0;
  int64_t temperature_context_ = 0;
  Rope rope_;
  std::vector<DeepSeek2Block> blocks_;
};

}  // namespace snug::infer

#pragma once

#include <cstdint>
#include <vector>

#include "infer/architecture.hpp"
#include "infer/layers/experts.hpp"
#include "infer/layers/ffn.hpp"

namespace snug::infer {

struct Gemma4Block {
  int64_t heads = 0, kv_heads = 0, head_dim = 0, window = 0;
  const Rope* rope = nullptr;
  int64_t kv_owner = 0;  // the block whose keys and values it reads
  Linear q, k, v, out;   // no v: values are the keys before norm and RoPE
  std::vector<float> attn_norm, q_norm, k_norm, post_attention_norm;

  std::vector<float> ffn_norm, post_ffw_norm;
  GatedFfn ffn;
  Experts experts;  // beside the dense network, or empty
  Linear router;
  std::vector<float> router_scale, post_ffw_norm_1, pre_ffw_norm_2, post_ffw_norm_2;

  Linear layer_gate, layer_proj;  // per-layer embedding, or empty
  std::vector<float> layer_post_norm;
  float output_scale = 1;
};

class Gemma4 : public Architecture {
 public:
  explicit Gemma4(const ArchitectureInputs& source);

  Activations embed(Batch& step) const override;
  void layer(Batch& step, int layer, Activations& x) const override;
  LayerCacheShape memory(int layer) const override;
  int restart(int layer) const override;

  bool reverses(int) const override { return true; }
  bool lends(int layer) const override;
  void reverse_layer(Reverse& reverse, int layer, const Activations& x, Activations& g) const override;
  void reverse_embed(Reverse& reverse, const Activations& g) const override;

 private:
  void load_attention(const ArchitectureInputs& source, int64_t l, Gemma4Block& block);
  void load_experts_beside(const ArchitectureInputs& source, int64_t l, Gemma4Block& block) const;
  void load_layer_embedding(const ArchitectureInputs& source, int64_t l, Gemma4Block& block) const;

  Activations attention(Batch& step, int layer, const Activations& a) const;
  Activations feed_forward(const Batch& step, const Gemma4Block& block, const Activations& h) const;
  void add_layer_embedding(const Batch& step, int layer, Activations& x) const;
  void turn_keys(Batch& step, const Gemma4Block& block, Activations& k, Activations& v) const;
  static AttendArgs attend_args(const Gemma4Block& block, Compute compute);
  void scale_router_input(const Gemma4Block& block, Activations& u) const;

  class AttentionWay;  // through one block's attention and back
  const Reverse::Lent& keys_and_values(Reverse& reverse, int owner) const;
  Activations reverse_feed_forward(const Reverse& reverse, const Gemma4Block& block, const Activations& h,
                                   const Activations& g) const;
  void reverse_layer_embedding(Reverse& reverse, int layer, const Activations& x, Activations& g) const;

  int64_t embedding_width_, layers_, own_kv_, ple_width_;
  float eps_;
  Rope rope_, sliding_rope_;
  std::vector<bool> sliding_;
  Linear ple_table_, ple_proj_;
  std::vector<float> ple_norm_;
  std::vector<Gemma4Block> blocks_;
};

}  // namespace snug::infer

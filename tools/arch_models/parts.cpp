#include "tools/arch_models/parts.hpp"

#include "base/str.hpp"

namespace snug::tools {

std::string in_block(int64_t layer, const std::string& base) {
  return str("blk.", layer, ".", base);
}

void add_common_keys(Draft& d, const Sizes& s) {
  d.count("vocab_size", s.vocab);
  d.count("context_length", s.context);
  d.count("embedding_length", s.embedding);
  d.count("block_count", s.layers);
  d.count("attention.head_count", s.heads);
  if (s.ffn > 0) d.count("feed_forward_length", s.ffn);
  // Left out, there are as many as query heads.
  if (s.kv_heads != s.heads || d.on()) d.count("attention.head_count_kv", s.kv_heads);
  if (s.head_dim * s.heads != s.embedding || d.on()) {
    d.count("attention.key_length", s.head_dim);
    d.count("attention.value_length", s.head_dim);
  }
  d.real("attention.layer_norm_rms_epsilon", 1e-5);
  if (d.on()) d.real("rope.freq_base", 500.0);
}

void add_ends(Draft& d, const Sizes& s, bool output) {
  d.matrix("token_embd.weight", s.embedding, s.vocab, 1, Fill::embedding);
  d.norm("output_norm", s.embedding);
  if (output) d.linear("output", s.embedding, s.vocab);
}

void add_attention(Draft& d, const Sizes& s, int64_t layer, const AttentionParts& parts) {
  const auto name = [&](const char* base) { return in_block(layer, base); };
  const int64_t q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  d.norm(name("attn_norm"), s.embedding);
  if (parts.fused) {
    d.linear(name("attn_qkv"), s.embedding, q + 2 * kv, parts.bias);
  } else {
    d.linear(name("attn_q"), s.embedding, q, parts.bias);
    d.linear(name("attn_k"), s.embedding, kv, parts.bias);
    d.linear(name("attn_v"), s.embedding, kv, parts.bias);
  }
  d.linear(name("attn_output"), q, s.embedding, parts.out_bias);
  if (!parts.head_norms) return;
  d.norm(name("attn_q_norm"), s.head_dim);
  d.norm(name("attn_k_norm"), s.head_dim);
}

void add_dense_ffn(Draft& d, const Sizes& s, int64_t layer, bool bias) {
  d.linear(in_block(layer, "ffn_gate"), s.embedding, s.ffn, bias);
  d.linear(in_block(layer, "ffn_up"), s.embedding, s.ffn, bias);
  d.linear(in_block(layer, "ffn_down"), s.ffn, s.embedding, bias);
}

void add_expert_keys(Draft& d, const ExpertSizes& e) {
  d.count("expert_count", e.experts);
  d.count("expert_used_count", e.used);
}

void add_experts(Draft& d, const Sizes& s, int64_t layer, const ExpertSizes& e, const ExpertParts& parts) {
  const auto name = [&](const char* base) { return in_block(layer, base); };
  const auto stack = [&](const char* base, int64_t cols, int64_t rows) {
    d.matrix(name(base) + ".weight", cols, rows, e.experts);
    d.output_scale(name(base), e.experts);
    if (parts.bias) d.matrix(name(base) + ".bias", rows, e.experts, 1, Fill::bias);
  };
  d.matrix(name("ffn_gate_inp.weight"), s.embedding, e.experts);
  if (parts.bias) d.vector(name("ffn_gate_inp.bias"), e.experts, Fill::bias);
  if (parts.selection_bias) d.vector(name("exp_probs_b.bias"), e.experts, Fill::bias);
  if (parts.fused) {
    stack("ffn_gate_up_exps", s.embedding, 2 * e.width);
  } else {
    stack("ffn_gate_exps", s.embedding, e.width);
    stack("ffn_up_exps", s.embedding, e.width);
  }
  stack("ffn_down_exps", e.width, s.embedding);
  if (parts.shared == SharedExpert::none) return;
  if (parts.shared == SharedExpert::gated)
    d.vector(name("ffn_gate_inp_shexp.weight"), s.embedding, Fill::bias);
  d.linear(name("ffn_gate_shexp"), s.embedding, e.shared);
  d.linear(name("ffn_up_shexp"), s.embedding, e.shared);
  d.linear(name("ffn_down_shexp"), e.shared, s.embedding);
}

void add_scaling(Draft& d, Scaling scaling, int64_t dims) {
  switch (scaling) {
    case Scaling::none:
      if (d.varies() && d.on()) {
        d.text("rope.scaling.type", "none");
        if (d.on()) d.real("rope.scaling.factor", 3);  // then without effect
      }
      break;
    case Scaling::frequencies:
      d.vector("rope_freqs.weight", dims / 2, Fill::factor);
      if (d.varies() && d.on()) d.real("rope.scaling.factor", 1.5);
      break;
    case Scaling::linear:
      if (d.on()) d.text("rope.scaling.type", "linear");
      d.real("rope.scaling.factor", 2.5);
      break;
    case Scaling::old_linear:
      d.real("rope.scale_linear", 2.5);
      break;
    case Scaling::yarn:
      d.text("rope.scaling.type", "yarn");
      d.real("rope.scaling.factor", 4);
      if (d.on()) d.count("rope.scaling.original_context_length", 24);
      if (d.on()) d.real("rope.scaling.attn_factor", 1.1);
      break;
    case Scaling::long_factors:
      d.text("rope.scaling.type", "longrope");
      d.count("rope.scaling.original_context_length", d.pick({16, 4096}));
      if (d.on()) d.real("rope.scaling.attn_factor", 1.19);
      d.vector("rope_factors_long.weight", dims / 2, Fill::factor);
      d.vector("rope_factors_short.weight", dims / 2, Fill::factor);
      break;
  }
}

}  // namespace snug::tools

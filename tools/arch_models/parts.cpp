#include "tools/arch_models/parts.hpp"

#include "base/str.hpp"

namespace snug::tools {

std::string in_block(int64_t layer, const std::string& base) {
  return str("blk.", layer, ".", base);
}

Sizes draw_sizes(Draft& d, bool filled) {
  Sizes s;
  s.vocab = d.pick({64, 67});
  s.heads = d.pick({4, 6});
  s.kv_heads = d.pick({2, s.heads, 1, s.heads / 2});
  s.head_dim = d.pick({16, 10, 22});
  s.ffn = d.pick({80, 75});
  s.embedding = filled ? s.heads * s.head_dim : d.pick({48, 45});
  return s;
}

namespace {

/// One number, or the same for each block.
void add_count(Draft& d, const char* name, int64_t value, int64_t blocks) {
  if (d.varies() && d.on())
    d.counts(name, std::vector<int32_t>(static_cast<size_t>(blocks), static_cast<int32_t>(value)));
  else
    d.count(name, value);
}

}  // namespace

void add_common_keys(Draft& d, const Sizes& s) {
  d.count("vocab_size", s.vocab);
  d.count("context_length", s.context);
  d.count("embedding_length", s.embedding);
  d.count("block_count", s.layers);
  add_count(d, "attention.head_count", s.heads, s.layers);
  if (s.ffn > 0) add_count(d, "feed_forward_length", s.ffn, s.layers);
  // Left out, there are as many as query heads.
  if (s.kv_heads != s.heads || d.on()) add_count(d, "attention.head_count_kv", s.kv_heads, s.layers);
  if (s.head_dim * s.heads != s.embedding || d.on()) {
    d.count("attention.key_length", s.head_dim);
    d.count("attention.value_length", s.head_dim);
  }
  d.real("attention.layer_norm_rms_epsilon", 1e-5);
  if (d.on()) d.real("rope.freq_base", 500.0);
}

void add_pattern(Draft& d, const Sizes& s, std::initializer_list<int64_t> periods) {
  if (!d.varies() || !d.on()) return;
  const int64_t period = d.pick(periods);
  if (d.on()) return d.count("attention.sliding_window_pattern", period);
  std::vector<bool> sliding(static_cast<size_t>(s.layers), true);
  for (size_t l = 1; l < sliding.size(); ++l) sliding[l] = d.on();
  d.flags("attention.sliding_window_pattern", sliding);
}

void add_ends(Draft& d, const Sizes& s, bool output) {
  d.matrix("token_embd.weight", s.embedding, s.vocab, 1, Fill::embedding);
  d.norm("output_norm", s.embedding);
  if (output) d.linear("output", s.embedding, s.vocab);
}

void add_qkv(Draft& d, int64_t embedding, int64_t layer, int64_t q, int64_t kv, const AttentionParts& parts) {
  const auto name = [&](const char* base) { return in_block(layer, base); };
  if (parts.fused) {
    d.linear(name("attn_qkv"), embedding, q + 2 * kv, parts.bias);
  } else {
    d.linear(name("attn_q"), embedding, q, parts.bias);
    d.linear(name("attn_k"), embedding, kv, parts.bias);
    d.linear(name("attn_v"), embedding, kv, parts.bias);
  }
}

void add_attention(Draft& d, const Sizes& s, int64_t layer, const AttentionParts& parts) {
  const auto name = [&](const char* base) { return in_block(layer, base); };
  const int64_t q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  d.norm(name("attn_norm"), s.embedding);
  if (parts.scaled) d.scale_outputs();
  add_qkv(d, s.embedding, layer, q, kv, parts);
  d.linear(name("attn_output"), q, s.embedding, parts.out_bias);
  if (parts.scaled) d.scale_outputs(false);
  if (!parts.head_norms) return;
  d.norm(name("attn_q_norm"), s.head_dim);
  d.norm(name("attn_k_norm"), s.head_dim);
}

void add_dense_ffn(Draft& d, const Sizes& s, int64_t layer, bool bias) {
  d.linear(in_block(layer, "ffn_gate"), s.embedding, s.ffn, bias);
  d.linear(in_block(layer, "ffn_up"), s.embedding, s.ffn, bias);
  d.linear(in_block(layer, "ffn_down"), s.ffn, s.embedding, bias);
}

ExpertSizes draw_expert_sizes(Draft& d) {
  return {.experts = d.pick({8, 12, 5}),
          .used = d.pick({3, 1, 4}),
          .width = d.pick({24, 21}),
          .shared = d.pick({40, 35})};
}

void add_expert_keys(Draft& d, const ExpertSizes& e) {
  d.count("expert_count", e.experts);
  d.count("expert_used_count", e.used);
}

void add_experts(Draft& d, const Sizes& s, int64_t layer, const ExpertSizes& e, const ExpertParts& parts) {
  const auto name = [&](const char* base) { return in_block(layer, base); };
  const auto stack = [&](const char* base, int64_t cols, int64_t rows) {
    d.matrix(name(base) + ".weight", cols, rows, e.experts);
    if (!parts.fused) d.output_scale(name(base), e.experts);
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

Scaling draw_scaling(Draft& d) {
  constexpr Scaling kScalings[] = {Scaling::none, Scaling::linear, Scaling::old_linear, Scaling::yarn};
  return kScalings[d.pick({0, 1, 2, 3})];
}

namespace {

void add_yarn(Draft& d) {
  d.text("rope.scaling.type", "yarn");
  d.real("rope.scaling.factor", static_cast<double>(d.pick({8, 80, 1})) / 2);
  if (d.on()) d.count("rope.scaling.original_context_length", d.pick({24, 300}));
  if (d.on()) d.real("rope.scaling.attn_factor", 1.1);
  if (!d.varies() || d.arch() == "mistral3" || d.arch() == "deepseek2") return;
  // Read by those two only, or by none of ours.
  if (d.on()) d.real("rope.scaling.yarn_ext_factor", 0.5);
  if (d.on()) d.real("rope.scaling.yarn_attn_factor", 1.3);
  if (d.on()) d.real("rope.scaling.yarn_log_multiplier", 0.7);
  if (d.on()) d.real("rope.scaling.yarn_beta_fast", 6);
  if (d.on()) d.real("rope.scaling.yarn_beta_slow", 2);
}

}  // namespace

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
      if (d.varies() && d.on()) d.real("rope.scaling.attn_factor", 1.1);
      break;
    case Scaling::old_linear:
      d.real("rope.scale_linear", 2.5);
      break;
    case Scaling::yarn:
      add_yarn(d);
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

// llama and its kin, qwen2, qwen3, phi3, gemma2, gemma3 (§2 of the architectures reference).
#include "base/str.hpp"
#include "tools/arch_models/families.hpp"

namespace snug::tools {

void draft_llama(Draft& d, Scaling scaling, bool experts) {
  const Sizes s = draw_sizes(d);
  ExpertSizes e = draw_expert_sizes(d);
  e.width = s.ffn;
  add_common_keys(d, s);
  if (d.on()) d.count("rope.dimension_count", s.head_dim);
  if (experts) add_expert_keys(d, e);
  if (experts && d.varies() && d.on()) {  // not for this architecture
    d.count("expert_feed_forward_length", s.ffn + 8);
    d.count("expert_gating_func", 2);
    d.real("expert_weights_scale", 2);
  }
  add_scaling(d, scaling, s.head_dim);
  if (d.arch() == "mistral3") {
    if (d.on()) d.real("attention.temperature_scale", 0.7);
    if (scaling == Scaling::yarn && d.on())
      d.real("rope.scaling.yarn_log_multiplier", static_cast<double>(d.pick({10, 7})) / 10);
    if (scaling == Scaling::yarn && d.on()) d.real("rope.scaling.yarn_beta_fast", 6);
    if (scaling == Scaling::yarn && d.on()) d.real("rope.scaling.yarn_beta_slow", 2);
  }
  if (d.varies() && d.on()) d.count("attention.sliding_window", 4);  // not for this architecture
  if (d.varies() && d.on()) d.real("attention.scale", 0.5);          // nor this
  if (d.varies() && d.arch() == "llama" && d.on()) d.real("attention.temperature_scale", 0.7);
  add_ends(d, s, !d.on());
  const AttentionParts parts{.bias = d.on(), .out_bias = d.on(), .fused = d.varies() && d.on()};
  const bool ffn_bias = d.on();
  if (d.varies() && d.on()) d.scale_outputs();
  for (int64_t l = 0; l < s.layers; ++l) {
    add_attention(d, s, l, parts);
    d.norm(in_block(l, "ffn_norm"), s.embedding);
    experts ? add_experts(d, s, l, e, {}) : add_dense_ffn(d, s, l, ffn_bias);
  }
}

void draft_qwen(Draft& d) {
  const bool third = d.arch() == "qwen3";
  const Sizes s = draw_sizes(d, !third);
  add_common_keys(d, s);
  add_scaling(d, d.varies() ? draw_scaling(d) : Scaling::yarn, s.head_dim);
  const bool output = !d.varies() || d.on();
  add_ends(d, s, output);
  if (third && d.varies() && d.on()) d.matrix("cls.output.weight", s.embedding, 1);  // of a reranker
  if (!third && d.on()) d.vector("output.bias", s.vocab, Fill::bias);
  const AttentionParts parts{.bias = third ? d.varies() && d.on() : d.on(),
                             .fused = d.varies() && d.on(),
                             .head_norms = third,
                             .scaled = !third && d.varies() && d.on()};
  if (third && d.varies() && d.on()) d.scale_outputs();
  for (int64_t l = 0; l < s.layers; ++l) {
    add_attention(d, s, l, parts);
    d.norm(in_block(l, "ffn_norm"), s.embedding);
    add_dense_ffn(d, s, l);
  }
}

void draft_phi3(Draft& d, int64_t original_context) {
  const Sizes s = draw_sizes(d, true);
  add_common_keys(d, s);
  const int64_t dims = d.pick({s.head_dim - 4, s.head_dim});
  d.count("rope.dimension_count", dims);
  if (d.on()) d.count("attention.sliding_window", 6);  // read, and not obeyed
  if (d.varies() && d.on()) {
    add_scaling(d, draw_scaling(d), dims);
  } else {
    d.count("rope.scaling.original_context_length", original_context);
    if (d.on()) d.text("rope.scaling.type", "longrope");
    if (d.on()) d.real("rope.scaling.attn_factor", 1.19);
    if (d.varies() && d.on()) d.real("rope.scaling.factor", 3);
  }
  if (d.on()) {
    d.vector("rope_factors_long.weight", dims / 2, Fill::factor);
    d.vector("rope_factors_short.weight", dims / 2, Fill::factor);
  }
  add_ends(d, s, !d.varies() || d.on());
  const bool fused = d.on(), bias = d.varies() && d.on(), scaled = d.varies() && d.on();
  for (int64_t l = 0; l < s.layers; ++l) {
    add_attention(d, s, l, {.bias = bias, .fused = fused, .scaled = scaled});
    d.norm(in_block(l, "ffn_norm"), s.embedding);
    d.linear(in_block(l, "ffn_up"), s.embedding, 2 * s.ffn);
    d.linear(in_block(l, "ffn_down"), s.ffn, s.embedding);
  }
}

void draft_gemma(Draft& d, int64_t layers) {
  const bool third = d.arch() == "gemma3";
  Sizes s = draw_sizes(d);
  s.layers = layers;
  add_common_keys(d, s);
  if (d.on()) d.count("attention.sliding_window", d.pick({7, 12}));
  add_pattern(d, s, {3, 2, 0});
  if (d.on()) d.real("rope.freq_base_swa", 90);
  if (d.varies() && d.on()) {
    add_scaling(d, draw_scaling(d), s.head_dim);
  } else if (d.on()) {
    d.text("rope.scaling.type", d.varies() && d.on() ? "none" : "linear");
    d.real("rope.scaling.factor", 8);
  }
  if (d.on()) d.real("final_logit_softcapping", third ? 5 : 4);
  if ((!third || d.varies()) && d.on()) d.real("attn_logit_softcapping", 3);  // not for gemma3
  add_ends(d, s, third && d.on());
  const AttentionParts attention{.bias = d.varies() && d.on(),
                                 .fused = d.varies() && d.on(),
                                 .head_norms = third,
                                 .scaled = d.varies() && d.on()};
  for (int64_t l = 0; l < s.layers; ++l) {
    add_attention(d, s, l, attention);
    for (const char* base : {"post_attention_norm", "ffn_norm", "post_ffw_norm"})
      d.norm(in_block(l, base), s.embedding);
    add_dense_ffn(d, s, l);
  }
}

}  // namespace snug::tools

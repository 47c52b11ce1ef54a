// qwen2moe, qwen3moe, gpt-oss, glm4moe (§2 of the architectures reference).
#include "tools/arch_models/families.hpp"

namespace snug::tools {

void draft_qwen_moe(Draft& d) {
  const bool third = d.arch() == "qwen3moe";
  Sizes s = draw_sizes(d, !third);
  s.ffn = d.pick({72, 73});
  ExpertSizes e = draw_expert_sizes(d);
  add_common_keys(d, s);
  add_expert_keys(d, e);
  // Left out, experts share feed_forward_length and the shared one takes it whole.
  if (d.on())
    d.count("expert_feed_forward_length", e.width);
  else
    e.width = s.ffn / e.used;
  if (!third && d.on())
    d.count("expert_shared_feed_forward_length", e.shared);
  else
    e.shared = s.ffn;
  if (d.varies() && d.on()) d.real("expert_weights_scale", 2);  // read by neither
  if (d.varies() && d.on()) d.flag("expert_weights_norm", !third);
  add_scaling(d, d.varies() ? draw_scaling(d) : Scaling::yarn, s.head_dim);
  add_ends(d, s, !third || !d.varies() || d.on());
  const AttentionParts attention{.bias = !third && d.on(),
                                 .fused = d.varies() && d.on(),
                                 .head_norms = third,
                                 .scaled = !third && d.varies() && d.on()};
  if (third && d.varies() && d.on()) d.scale_outputs();
  for (int64_t l = 0; l < s.layers; ++l) {
    add_attention(d, s, l, attention);
    d.norm(in_block(l, "ffn_norm"), s.embedding);
    add_experts(d, s, l, e, {.shared = third ? SharedExpert::none : SharedExpert::gated});
  }
}

void draft_gpt_oss(Draft& d) {
  Sizes s = draw_sizes(d);
  s.layers = 3;
  const ExpertSizes e = draw_expert_sizes(d);
  add_common_keys(d, s);
  add_expert_keys(d, e);
  d.count("expert_feed_forward_length", e.width);
  d.count("attention.sliding_window", d.pick({6, 9}));
  add_pattern(d, s, {3, 0});
  if (d.varies() && d.on()) d.real("rope.freq_base_swa", 90);
  add_scaling(d, d.varies() ? draw_scaling(d) : Scaling::yarn, s.head_dim);
  add_ends(d, s, true);
  if (d.varies() && d.on()) d.real("expert_weights_scale", 2);  // not for this architecture
  const AttentionParts attention{
      .bias = true, .out_bias = true, .fused = d.varies() && d.on(), .scaled = d.varies() && d.on()};
  for (int64_t l = 0; l < s.layers; ++l) {
    add_attention(d, s, l, attention);
    d.norm(in_block(l, "post_attention_norm"), s.embedding);
    d.vector(in_block(l, "attn_sinks.weight"), s.heads, Fill::bias);
    add_experts(d, s, l, e, {.bias = true});
  }
}

void draft_glm4_moe(Draft& d, Glm4 form) {
  Sizes s = draw_sizes(d);
  s.layers = form == Glm4::ahead ? 4 : 3;
  ExpertSizes e = draw_expert_sizes(d);
  const int64_t shared = d.pick({2, 1});
  e.shared = shared * e.width;
  add_common_keys(d, s);
  add_expert_keys(d, e);
  d.count("expert_feed_forward_length", e.width);
  d.count("expert_shared_count", shared);
  const int64_t dense = d.pick({1, 2, 0});
  d.count("leading_dense_block_count", dense);
  d.count("rope.dimension_count", 8);
  if (d.varies() && d.on()) add_scaling(d, draw_scaling(d), 8);
  if (d.on()) d.flag("expert_weights_norm", true);
  if (d.on()) d.real("expert_weights_scale", 1.7);
  if (d.on()) d.count("expert_gating_func", d.pick({2, 1, 3, 4}));
  if (d.varies() && e.experts % 4 == 0 && d.on()) {
    d.count("expert_group_count", 4);
    d.count("expert_group_used_count", 2);
  }
  if (form == Glm4::sections)
    d.counts("rope.dimension_sections", d.on() ? std::vector{1, 1, 1, 1} : std::vector{1, 2, 0, 2});
  if (form == Glm4::ahead) d.count("nextn_predict_layers", 1);
  add_ends(d, s, !d.varies() || d.on());
  const AttentionParts attention{.bias = d.on(),
                                 .fused = d.varies() && d.on(),
                                 .head_norms = d.on(),
                                 .scaled = form != Glm4::ahead && d.varies() && d.on()};
  for (int64_t l = 0; l < s.layers; ++l) {
    add_attention(d, s, l, attention);
    d.norm(in_block(l, "post_attention_norm"), s.embedding);
    if (l < dense)
      add_dense_ffn(d, s, l);
    else
      add_experts(d, s, l, e, {.selection_bias = true, .shared = SharedExpert::plain});
  }
  if (form != Glm4::ahead) return;
  d.matrix(in_block(3, "nextn.eh_proj.weight"), 2 * s.embedding, s.embedding);
  d.norm(in_block(3, "nextn.enorm"), s.embedding);
  d.norm(in_block(3, "nextn.hnorm"), s.embedding);
  d.norm(in_block(3, "nextn.shared_head_norm"), s.embedding);
}

}  // namespace snug::tools

// deepseek2: multi-head latent attention (§2.12 of the architectures reference).
#include "tools/arch_models/families.hpp"

namespace snug::tools {
namespace {

struct Latent {
  int64_t rank = 20, q_rank = 24, plain = 12, rotated = 8, value = 10;
  int64_t key() const { return plain + rotated; }
};

Latent draw_latent(Draft& d) {
  return {d.pick({20, 17}), d.pick({24, 23}), d.pick({12, 10}), d.pick({8, 6}), d.pick({10, 13})};
}

void add_latent_attention(Draft& d, const Sizes& s, const Latent& m, int64_t l, bool lora, bool legacy) {
  const auto name = [&](const char* base) { return in_block(l, base); };
  d.norm(name("attn_norm"), s.embedding);
  if (lora) {
    d.linear(name("attn_q_a"), s.embedding, m.q_rank);
    d.norm(name("attn_q_a_norm"), m.q_rank);
    d.linear(name("attn_q_b"), m.q_rank, s.heads * m.key());
  } else {
    d.linear(name("attn_q"), s.embedding, s.heads * m.key());
  }
  d.linear(name("attn_kv_a_mqa"), s.embedding, m.rank + m.rotated);
  d.norm(name("attn_kv_a_norm"), m.rank);
  if (legacy) {
    d.linear(name("attn_kv_b"), m.rank, s.heads * (m.plain + m.value));
  } else {
    d.matrix(name("attn_k_b.weight"), m.plain, m.rank, s.heads);
    d.matrix(name("attn_v_b.weight"), m.rank, m.value, s.heads);
  }
  d.linear(name("attn_output"), s.heads * m.value, s.embedding);
}

void add_latent_keys(Draft& d, const Sizes& s, const Latent& m, bool lora, bool legacy) {
  d.count("vocab_size", s.vocab);
  d.count("context_length", s.context);
  d.count("embedding_length", s.embedding);
  d.count("block_count", s.layers);
  d.count("feed_forward_length", s.ffn);
  d.count("attention.head_count", s.heads);
  d.count("attention.head_count_kv", legacy ? s.heads : 1);
  d.count("attention.key_length", legacy ? m.key() : m.rank + m.rotated);
  d.count("attention.value_length", legacy ? m.value : m.rank);
  if (!legacy) d.count("attention.key_length_mla", m.key());
  if (!legacy) d.count("attention.value_length_mla", m.value);
  if (lora) d.count("attention.q_lora_rank", m.q_rank);
  d.count("attention.kv_lora_rank", m.rank);
  d.count("rope.dimension_count", m.rotated);
  d.real("attention.layer_norm_rms_epsilon", 1e-6);
  d.real("rope.freq_base", 500);
}

void add_routing_keys(Draft& d, const ExpertSizes& e, int64_t dense, bool lite) {
  add_expert_keys(d, e);
  d.count("expert_feed_forward_length", e.width);
  d.count("leading_dense_block_count", dense);
  if (lite || d.on()) d.count("expert_gating_func", lite ? 1 : d.pick({2, 1, 3, 4}));
  if (!lite && d.on()) d.flag("expert_weights_norm", true);
  if (d.on()) d.real("expert_weights_scale", static_cast<double>(d.pick({2, 16})));
  if (lite || e.experts % 4 != 0 || !d.on()) return;
  d.count("expert_group_count", 4);
  d.count("expert_group_used_count", d.pick({2, 3}));
}

}  // namespace

void draft_deepseek2(Draft& d, DeepSeek form) {
  const bool lite = form == DeepSeek::lite, legacy = form == DeepSeek::legacy, lora = !lite;
  Sizes s = draw_sizes(d);
  s.layers = lite ? 27 : form == DeepSeek::ahead ? 4 : 3;  // 27 blocks: q has no low rank
  const Latent m = draw_latent(d);
  ExpertSizes e = draw_expert_sizes(d);
  const int64_t shared = d.pick({2, 1});
  e.shared = shared * e.width;
  add_latent_keys(d, s, m, lora, legacy);
  const int64_t dense = d.pick({1, 2, 0});
  add_routing_keys(d, e, dense, lite);
  d.count("expert_shared_count", shared);
  if (d.on()) {
    add_scaling(d, Scaling::yarn, m.rotated);
    if (d.on()) d.real("rope.scaling.yarn_log_multiplier", static_cast<double>(d.pick({707, 10000})) / 10000);
  } else {
    add_scaling(d, draw_scaling(d), m.rotated);
  }
  if (form == DeepSeek::temperature) {
    d.real("attention.temperature_scale", 0.4);
    d.count("attention.temperature_length", 9);
  }
  if (form == DeepSeek::ahead) d.count("nextn_predict_layers", 1);
  add_ends(d, s, !d.varies() || d.on());
  const ExpertParts parts{.fused = legacy || (d.varies() && d.on()),
                          .selection_bias = !lite && d.on(),
                          .shared = SharedExpert::plain};
  for (int64_t l = 0; l < s.layers; ++l) {
    add_latent_attention(d, s, m, l, lora, legacy);
    d.norm(in_block(l, "ffn_norm"), s.embedding);
    l < dense ? add_dense_ffn(d, s, l) : add_experts(d, s, l, e, parts);
  }
  if (form != DeepSeek::ahead) return;
  d.matrix(in_block(3, "nextn.eh_proj.weight"), 2 * s.embedding, s.embedding);
  d.norm(in_block(3, "nextn.enorm"), s.embedding);
  d.norm(in_block(3, "nextn.hnorm"), s.embedding);
}

}  // namespace snug::tools

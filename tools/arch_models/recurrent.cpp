// qwen3next, qwen35, qwen35moe: gated delta nets (§2.14 of the architectures reference).
#include "tools/arch_models/families.hpp"

namespace snug::tools {
namespace {

struct Delta {
  int64_t kernel = 4, dim = 8, key_heads = 2, value_heads = 4;
  int64_t keys() const { return key_heads * dim; }
  int64_t values() const { return value_heads * dim; }
  int64_t channels() const { return 2 * keys() + values(); }
};

void add_gated_attention(Draft& d, const Sizes& s, int64_t l, const AttentionParts& parts) {
  const auto name = [&](const char* base) { return in_block(l, base); };
  const int64_t q = 2 * s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  add_qkv(d, s.embedding, l, q, kv, parts);
  d.linear(name("attn_output"), s.heads * s.head_dim, s.embedding);
  d.norm(name("attn_q_norm"), s.head_dim);
  d.norm(name("attn_k_norm"), s.head_dim);
}

void add_delta_net(Draft& d, const Sizes& s, const Delta& m, int64_t l, bool fused_in) {
  const auto name = [&](const char* base) { return in_block(l, base); };
  // llama.cpp does not scale these of qwen3next.
  const auto linear = [&](const char* base, int64_t cols, int64_t rows) {
    d.matrix(name(base) + ".weight", cols, rows);
    if (d.arch() != "qwen3next") d.output_scale(name(base), 1);
  };
  if (fused_in) {
    linear("ssm_in", s.embedding, m.channels() + m.values());
  } else {
    linear("attn_qkv", s.embedding, m.channels());
    linear("attn_gate", s.embedding, m.values());
  }
  if (d.arch() == "qwen3next") {
    linear("ssm_ba", s.embedding, 2 * m.value_heads);
  } else {
    linear("ssm_beta", s.embedding, m.value_heads);
    linear("ssm_alpha", s.embedding, m.value_heads);
  }
  d.matrix(name("ssm_conv1d.weight"), m.kernel, m.channels());
  d.vector(name("ssm_dt.bias"), m.value_heads, Fill::bias);
  d.vector(name("ssm_a"), m.value_heads, Fill::decay);
  d.norm(name("ssm_norm"), m.dim);
  linear("ssm_out", m.values(), s.embedding);
}

void add_keys(Draft& d, const Sizes& s, const Delta& m) {
  add_common_keys(d, s);
  d.count("rope.dimension_count", 8);
  if (d.arch() != "qwen3next") {
    const int64_t at = d.pick({0, 1, 2});
    d.counts("rope.dimension_sections", at == 0   ? std::vector{2, 1, 1, 0}
                                        : at == 1 ? std::vector{1, 1, 1, 1}
                                                  : std::vector{1, 2, 0, 0});
  }
  d.count("ssm.conv_kernel", m.kernel);
  d.count("ssm.state_size", m.dim);
  d.count("ssm.group_count", m.key_heads);
  d.count("ssm.time_step_rank", m.value_heads);
  d.count("ssm.inner_size", m.values());
}

}  // namespace

void draft_qwen_next(Draft& d, Recurrent form) {
  const bool experts = d.arch() != "qwen35";
  const bool ahead = form == Recurrent::ahead;
  Sizes s = draw_sizes(d);
  s.layers = ahead ? 6 : 5;
  Delta m;
  m.key_heads = d.pick({2, 4, 1});
  m.value_heads = m.key_heads * d.pick({4 / m.key_heads, 1, 3});
  m.dim = d.pick({8, 6, 11});
  m.kernel = d.pick({4, 3, 2});
  const ExpertSizes e = draw_expert_sizes(d);
  add_keys(d, s, m);
  add_scaling(d, draw_scaling(d), 8);
  int64_t interval = 4;
  if (d.on()) d.count("full_attention_interval", interval = d.pick({2, 3}));
  std::vector<bool> recurrent;
  for (int64_t l = 0; l < s.layers; ++l) recurrent.push_back((l + 1) % interval != 0);
  if (ahead) recurrent.back() = false;
  if (d.varies() && d.on()) {
    recurrent = {false, true, true, false, true};
    if (ahead) recurrent.push_back(false);
    d.flags("attention.recurrent_layers", recurrent);
  }
  if (experts) {
    add_expert_keys(d, e);
    d.count("expert_feed_forward_length", e.width);
    d.count("expert_shared_feed_forward_length", e.shared);
    if (d.varies() && d.on()) d.real("expert_weights_scale", 2);  // not for these architectures
  }
  if (ahead) d.count("nextn_predict_layers", 1);
  add_ends(d, s, !d.varies() || d.on());
  if (!ahead && d.varies() && d.on()) d.scale_outputs();
  const AttentionParts attention{.bias = d.varies() && d.on(), .fused = d.varies() && d.on()};
  const ExpertParts parts{.fused = d.varies() && d.on(), .shared = SharedExpert::gated};
  for (int64_t l = 0; l < s.layers; ++l) {
    d.norm(in_block(l, "attn_norm"), s.embedding);
    if (recurrent[static_cast<size_t>(l)])
      add_delta_net(d, s, m, l, form == Recurrent::fused_in);
    else
      add_gated_attention(d, s, l, attention);
    d.norm(in_block(l, "post_attention_norm"), s.embedding);
    experts ? add_experts(d, s, l, e, parts) : add_dense_ffn(d, s, l);
  }
  if (!ahead) return;
  d.matrix(in_block(5, "nextn.eh_proj.weight"), 2 * s.embedding, s.embedding);
  for (const char* base : {"nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm"})
    d.norm(in_block(5, base), s.embedding);
}

}  // namespace snug::tools

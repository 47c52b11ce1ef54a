// gemma4 in its three forms (gemma4.md of the reference).
#include <algorithm>

#include "tools/arch_models/families.hpp"

namespace snug::tools {
namespace {

struct Layers {
  Sizes s;
  std::vector<bool> sliding;
  int64_t own = 0;          // layers with keys and values of their own
  bool no_values = false;   // of full layers: values are the keys before their norm
  bool wide = false;        // layers that share have twice the feed-forward network
  bool more_heads = false;  // of full layers
  bool spare = false;       // layers that share have keys and values all the same, unused
  int64_t head_full = 24, head_sliding = 16, kv_full = 1, kv_sliding = 2, per_layer = 0;

  bool slides(int64_t l) const { return sliding[static_cast<size_t>(l)]; }
  int64_t head(int64_t l) const { return slides(l) ? head_sliding : head_full; }
  int64_t heads(int64_t l) const { return s.heads * (more_heads && !slides(l) ? 2 : 1); }
  int64_t kv_heads(int64_t l) const { return slides(l) ? kv_sliding : kv_full; }
  int64_t ffn(int64_t l) const { return wide && l >= own ? 2 * s.ffn : s.ffn; }
};

void add_keys(Draft& d, const Layers& m) {
  const Sizes& s = m.s;
  d.count("vocab_size", s.vocab);
  d.count("context_length", s.context);
  d.count("embedding_length", s.embedding);
  d.count("block_count", s.layers);
  std::vector<int32_t> heads, kv, ffn;
  for (int64_t l = 0; l < s.layers; ++l) {
    heads.push_back(static_cast<int32_t>(m.heads(l)));
    kv.push_back(static_cast<int32_t>(m.kv_heads(l)));
    ffn.push_back(static_cast<int32_t>(m.ffn(l)));
  }
  if (m.wide || d.on())
    d.counts("feed_forward_length", ffn);
  else
    d.count("feed_forward_length", s.ffn);
  if (m.more_heads)
    d.counts("attention.head_count", heads);
  else
    d.count("attention.head_count", s.heads);
  if (m.kv_full == m.kv_sliding)
    d.count("attention.head_count_kv", m.kv_full);
  else
    d.counts("attention.head_count_kv", kv);
  d.real("attention.layer_norm_rms_epsilon", 1e-6);
  for (const char* key : {"attention.key_length", "attention.value_length", "rope.dimension_count"})
    d.count(key, m.head_full);
  for (const char* key :
       {"attention.key_length_swa", "attention.value_length_swa", "rope.dimension_count_swa"})
    d.count(key, m.head_sliding);
  d.count("attention.sliding_window", d.pick({7, 11}));
  d.flags("attention.sliding_window_pattern", m.sliding);
  d.real("rope.freq_base", 1e4);
  if (d.on()) d.real("rope.freq_base_swa", 300);
  if (d.on()) d.real("final_logit_softcapping", 6);
  if (d.varies() && d.on()) add_scaling(d, draw_scaling(d), m.head_full);
}

void add_attention(Draft& d, const Layers& m, int64_t l) {
  const Sizes& s = m.s;
  const int64_t q = m.heads(l) * m.head(l), kv = m.kv_heads(l) * m.head(l);
  d.norm(in_block(l, "attn_norm"), s.embedding);
  d.linear(in_block(l, "attn_q"), s.embedding, q);
  d.norm(in_block(l, "attn_q_norm"), m.head(l));
  if (l < m.own || m.spare) {
    d.linear(in_block(l, "attn_k"), s.embedding, kv);
    d.norm(in_block(l, "attn_k_norm"), m.head(l));
    if (m.slides(l) || !m.no_values) d.linear(in_block(l, "attn_v"), s.embedding, kv);
  }
  d.linear(in_block(l, "attn_output"), q, s.embedding);
}

void add_experts_beside(Draft& d, const Sizes& s, int64_t l, const ExpertSizes& e, bool fused) {
  add_experts(d, s, l, e, {.fused = fused});
  d.vector(in_block(l, "ffn_gate_inp.scale"), s.embedding, Fill::norm);
  d.vector(in_block(l, "ffn_down_exps.scale"), e.experts, Fill::norm);
  for (const char* base : {"post_ffw_norm_1", "pre_ffw_norm_2", "post_ffw_norm_2"})
    d.norm(in_block(l, base), s.embedding);
}

void add_per_layer(Draft& d, const Layers& m, int64_t l) {
  d.matrix(in_block(l, "inp_gate.weight"), m.s.embedding, m.per_layer);
  d.matrix(in_block(l, "proj.weight"), m.per_layer, m.s.embedding);
  d.norm(in_block(l, "post_norm"), m.s.embedding);
}

Layers draw_layers(Draft& d, Gemma4 form) {
  Layers m;
  m.s = draw_sizes(d);
  m.s.layers = 6;
  m.sliding = {true, true, false, true, true, false};
  if (form == Gemma4::dense && d.varies() && d.on()) m.sliding.assign(6, true);
  m.head_full = d.pick({24, 18});
  m.head_sliding = d.pick({16, 10});
  m.more_heads = d.varies() && d.on();
  m.kv_full = d.pick({1, 2});
  m.kv_sliding = d.pick({2, m.s.heads});
  m.own = form == Gemma4::per_layer ? d.pick({3, 6}) : 6;
  m.no_values = form != Gemma4::per_layer && d.on();
  m.wide = form == Gemma4::per_layer && d.on();
  m.spare = form == Gemma4::per_layer && d.varies() && d.on();
  if (form == Gemma4::per_layer) m.per_layer = d.pick({12, 11});
  return m;
}

void add_global_tensors(Draft& d, const Layers& m) {
  add_ends(d, m.s, d.varies() && d.on());
  if (std::ranges::count(m.sliding, false)) d.vector("rope_freqs.weight", m.head_full / 2, Fill::first_ones);
  if (m.per_layer == 0) return;
  d.matrix("per_layer_token_embd.weight", m.per_layer * 6, m.s.vocab, 1, Fill::embedding);
  d.linear("per_layer_model_proj", m.s.embedding, m.per_layer * 6);
  d.norm("per_layer_proj_norm", m.per_layer);
}

}  // namespace

void draft_gemma4(Draft& d, Gemma4 form) {
  const Layers m = draw_layers(d, form);
  const ExpertSizes e = draw_expert_sizes(d);
  const bool fused = d.on(), scaled = d.on(), experts = form == Gemma4::experts || (d.varies() && d.on());
  const bool some = d.varies() && d.on();  // only some layers have experts and output scales
  add_keys(d, m);
  d.count("embedding_length_per_layer_input", m.per_layer);
  if (m.own < 6 || d.on()) d.count("attention.shared_kv_layers", 6 - m.own);
  if (experts) {
    add_expert_keys(d, e);
    d.count("expert_feed_forward_length", e.width);
    if (d.varies() && d.on()) d.real("expert_weights_scale", 2);  // not for this architecture
  }
  add_global_tensors(d, m);
  if (!experts && d.varies() && d.on()) d.scale_outputs();
  for (int64_t l = 0; l < m.s.layers; ++l) {
    add_attention(d, m, l);
    for (const char* base : {"post_attention_norm", "ffn_norm", "post_ffw_norm"})
      d.norm(in_block(l, base), m.s.embedding);
    Sizes wide = m.s;
    wide.ffn = m.ffn(l);
    add_dense_ffn(d, wide, l);
    if (experts && !(some && l % 3 == 1)) add_experts_beside(d, m.s, l, e, fused);
    if (m.per_layer > 0) add_per_layer(d, m, l);
    if (scaled && !(some && l % 2 == 1)) d.vector(in_block(l, "layer_output_scale.weight"), 1, Fill::norm);
  }
}

}  // namespace snug::tools

// gemma4 in its three forms (gemma4.md of the reference).
#include <algorithm>

#include "tools/arch_models/families.hpp"

namespace snug::tools {
namespace {

constexpr int64_t kHead = 24, kHeadSliding = 16, kPerLayer = 12;

struct Layers {
  Sizes s;
  std::vector<bool> sliding;
  bool uniform = false;    // one value for all layers
  int64_t own = 0;         // layers with keys and values of their own
  bool no_values = false;  // of full layers: values are the keys before their norm
  bool wide = false;       // layers that share have twice the feed-forward network

  int64_t head(int64_t l) const { return sliding[static_cast<size_t>(l)] ? kHeadSliding : kHead; }
  int64_t kv_heads(int64_t l) const { return sliding[static_cast<size_t>(l)] ? 2 : 1; }
  int64_t ffn(int64_t l) const { return wide && l >= own ? 2 * s.ffn : s.ffn; }
};

void add_keys(Draft& d, const Layers& m) {
  const Sizes& s = m.s;
  d.count("vocab_size", s.vocab);
  d.count("context_length", s.context);
  d.count("embedding_length", s.embedding);
  d.count("block_count", s.layers);
  std::vector<int32_t> kv, ffn;
  for (int64_t l = 0; l < s.layers; ++l) {
    kv.push_back(static_cast<int32_t>(m.kv_heads(l)));
    ffn.push_back(static_cast<int32_t>(m.ffn(l)));
  }
  if (m.wide || d.on())
    d.counts("feed_forward_length", ffn);
  else
    d.count("feed_forward_length", s.ffn);
  d.count("attention.head_count", s.heads);
  d.counts("attention.head_count_kv", kv);
  d.real("attention.layer_norm_rms_epsilon", 1e-6);
  for (const char* key : {"attention.key_length", "attention.value_length", "rope.dimension_count"})
    d.count(key, kHead);
  for (const char* key :
       {"attention.key_length_swa", "attention.value_length_swa", "rope.dimension_count_swa"})
    d.count(key, kHeadSliding);
  d.count("attention.sliding_window", d.pick({7, 11}));
  if (m.uniform)
    d.flag("attention.sliding_window_pattern", m.sliding[0]);
  else
    d.flags("attention.sliding_window_pattern", m.sliding);
  d.real("rope.freq_base", 1e4);
  if (d.on()) d.real("rope.freq_base_swa", 300);
  if (d.on()) d.real("final_logit_softcapping", 6);
}

void add_attention(Draft& d, const Layers& m, int64_t l) {
  const Sizes& s = m.s;
  const int64_t q = s.heads * m.head(l), kv = m.kv_heads(l) * m.head(l);
  d.norm(in_block(l, "attn_norm"), s.embedding);
  d.linear(in_block(l, "attn_q"), s.embedding, q);
  d.norm(in_block(l, "attn_q_norm"), m.head(l));
  if (l < m.own) {
    d.linear(in_block(l, "attn_k"), s.embedding, kv);
    d.norm(in_block(l, "attn_k_norm"), m.head(l));
    if (m.sliding[static_cast<size_t>(l)] || !m.no_values) d.linear(in_block(l, "attn_v"), s.embedding, kv);
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

void add_per_layer(Draft& d, const Sizes& s, int64_t l) {
  d.linear(in_block(l, "inp_gate"), s.embedding, kPerLayer);
  d.linear(in_block(l, "proj"), kPerLayer, s.embedding);
  d.norm(in_block(l, "post_norm"), s.embedding);
}

}  // namespace

void draft_gemma4(Draft& d, Gemma4 form) {
  Layers m;
  m.s.layers = 6;
  m.sliding = {true, true, false, true, true, false};
  if (form == Gemma4::dense && d.varies() && d.on()) {
    m.sliding.assign(6, true);
    m.uniform = d.on();
  }
  m.own = form == Gemma4::per_layer ? d.pick({3, 6}) : 6;
  m.no_values = form != Gemma4::per_layer && d.on();
  m.wide = form == Gemma4::per_layer && d.on();
  const ExpertSizes e;
  const bool fused = d.on(), scaled = d.on();
  add_keys(d, m);
  d.count("embedding_length_per_layer_input", form == Gemma4::per_layer ? kPerLayer : 0);
  if (m.own < 6 || d.on()) d.count("attention.shared_kv_layers", 6 - m.own);
  if (form == Gemma4::experts) {
    add_expert_keys(d, e);
    d.count("expert_feed_forward_length", e.width);
  }
  add_ends(d, m.s, d.varies() && d.on());
  if (std::ranges::count(m.sliding, false)) d.vector("rope_freqs.weight", kHead / 2, Fill::first_ones);
  if (form == Gemma4::per_layer) {
    d.matrix("per_layer_token_embd.weight", kPerLayer * 6, m.s.vocab, 1, Fill::embedding);
    d.linear("per_layer_model_proj", m.s.embedding, kPerLayer * 6);
    d.norm("per_layer_proj_norm", kPerLayer);
  }
  for (int64_t l = 0; l < m.s.layers; ++l) {
    add_attention(d, m, l);
    for (const char* base : {"post_attention_norm", "ffn_norm", "post_ffw_norm"})
      d.norm(in_block(l, base), m.s.embedding);
    Sizes wide = m.s;
    wide.ffn = m.ffn(l);
    add_dense_ffn(d, wide, l);
    if (form == Gemma4::experts) add_experts_beside(d, m.s, l, e, fused);
    if (form == Gemma4::per_layer) add_per_layer(d, m.s, l);
    if (scaled) d.vector(in_block(l, "layer_output_scale.weight"), 1, Fill::norm);
  }
}

}  // namespace snug::tools

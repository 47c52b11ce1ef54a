// gemma4: dense, with per-layer embeddings and shared keys and values, and with experts (gemma4.md of the
// reference).
#include <algorithm>
#include <cmath>

#include "infer/arch/all.hpp"
#include "infer/arch/gemma4.hpp"
#include "infer/layers/ops.hpp"

namespace snug::infer {

Gemma4::Gemma4(const ArchitectureInputs& source)
    : Architecture{source, Head::optional},
      embedding_width_{source.hp.embedding},
      layers_{source.hp.layers},
      eps_{source.hp.rms_eps} {
  const Hparams& hp = source.hp;
  embedding_scale_ = std::sqrt(static_cast<float>(hp.embedding));
  logit_cap_ = source.keys.real("final_logit_softcapping", 30);
  const int64_t shared = source.keys.integer("attention.shared_kv_layers", 0);
  if (shared > 0 && shared + 2 > layers_)
    source.keys.fail("attention.shared_kv_layers", "leaves too few layers");
  own_kv_ = layers_ - shared;
  source.keys.need_integer("attention.sliding_window");
  for (const int64_t flag : source.keys.per_block("attention.sliding_window_pattern", hp.blocks, 1))
    sliding_.push_back(flag != 0);
  rope_ = sliding_rope_ = make_rope(hp.rope, RopeKind::neox);
  sliding_rope_.base = hp.rope.base_swa > 0 ? hp.rope.base_swa : 10000.0f;
  sliding_rope_.dims = hp.rope.dims_swa;
  sliding_rope_.frequency_scale = 1;
  if (std::ranges::find(sliding_, false) != sliding_.end())
    rope_.factors = source.loader.vector("rope_freqs.weight", rope_.dims / 2);
  ple_width_ = source.keys.need_integer("embedding_length_per_layer_input");
  if (ple_width_ > 0) {
    ple_table_ = {
        source.loader.matrix("per_layer_token_embd.weight", ple_width_ * layers_, hp.vocab), {}, {}};
    ple_proj_ = source.loader.linear("per_layer_model_proj", hp.embedding, ple_width_ * layers_);
    ple_norm_ = source.loader.vector("per_layer_proj_norm.weight", ple_width_);
  }
  for (int64_t l = 0; l < layers_; ++l) {
    Gemma4Block& block = blocks_.emplace_back();
    load_attention(source, l, block);
    block.ffn_norm = load_norm(source, l, "ffn_norm");
    block.post_ffw_norm = load_norm(source, l, "post_ffw_norm");
    block.ffn = GatedFfn{source.loader, l, hp.embedding, hp.ffn[static_cast<size_t>(l)], Activation::gelu};
    load_experts_beside(source, l, block);
    load_layer_embedding(source, l, block);
    const std::vector<float> scale = source.loader.vector_if(in_block(l, "layer_output_scale.weight"), 1);
    if (!scale.empty()) block.output_scale = scale[0];
  }
}

void Gemma4::load_attention(const ArchitectureInputs& source, int64_t l, Gemma4Block& block) {
  const Hparams& hp = source.hp;
  Loader& loader = source.loader;
  const auto at = static_cast<size_t>(l);
  const bool sliding = sliding_[at];
  block.heads = hp.heads[at];
  block.kv_heads = hp.kv_heads[at];
  block.head_dim = sliding ? hp.key_dim_swa : hp.key_dim;
  block.window = sliding ? source.keys.need_integer("attention.sliding_window") : 0;
  block.rope = sliding ? &sliding_rope_ : &rope_;
  block.kv_owner = l < own_kv_ ? l : own_kv_ - (sliding ? 2 : 1);
  if (block.kv_owner != l && blocks_[static_cast<size_t>(block.kv_owner)].rope != block.rope)
    source.keys.fail("attention.shared_kv_layers", "shares between a sliding and a full layer");
  if (block.kv_owner != l && blocks_[static_cast<size_t>(block.kv_owner)].kv_heads != block.kv_heads)
    source.keys.fail("attention.head_count_kv", "differs between layers that share keys and values");
  if (block.rope->dims > block.head_dim)
    source.keys.fail("rope.dimension_count_swa", "is more than the head size");
  if ((sliding ? hp.value_dim_swa : hp.value_dim) != block.head_dim)
    source.keys.fail("attention.value_length", "is not the key length, as this architecture needs");
  const int64_t e = hp.embedding, kv = block.kv_heads * block.head_dim;
  block.q = loader.linear(in_block(l, "attn_q"), e, block.heads * block.head_dim);
  // Layers that share keys and values may still carry their own, unused.
  block.k = l < own_kv_ ? loader.linear(in_block(l, "attn_k"), e, kv)
                        : loader.linear_if(in_block(l, "attn_k"), e, kv);
  block.v = loader.linear_if(in_block(l, "attn_v"), e, kv);
  block.out = loader.linear(in_block(l, "attn_output"), block.heads * block.head_dim, e);
  block.attn_norm = load_norm(source, l, "attn_norm");
  block.post_attention_norm = load_norm(source, l, "post_attention_norm");
  block.q_norm = loader.vector(in_block(l, "attn_q_norm.weight"), block.head_dim);
  block.k_norm = loader.vector_if(in_block(l, "attn_k_norm.weight"), block.head_dim);
  if (l < own_kv_ && block.k_norm.empty()) loader.tensor(in_block(l, "attn_k_norm.weight"));  // throws
}

void Gemma4::load_experts_beside(const ArchitectureInputs& source, int64_t l, Gemma4Block& block) const {
  const Hparams& hp = source.hp;
  if (!source.loader.has(in_block(l, "ffn_gate_inp.weight"))) return;
  if (hp.experts == 0) source.keys.fail("expert_count", "is missing or 0");
  const Routing routing{.experts = hp.experts, .used = hp.experts_used, .normalise = true};
  block.router = {source.loader.matrix(in_block(l, "ffn_gate_inp.weight"), hp.embedding, hp.experts), {}, {}};
  block.router_scale = source.loader.vector(in_block(l, "ffn_gate_inp.scale"), hp.embedding);
  block.experts = {source.loader, l, hp.embedding, hp.expert_ffn, routing, Activation::gelu, block.router};
  block.post_ffw_norm_1 = load_norm(source, l, "post_ffw_norm_1");
  block.pre_ffw_norm_2 = load_norm(source, l, "pre_ffw_norm_2");
  block.post_ffw_norm_2 = load_norm(source, l, "post_ffw_norm_2");
}

void Gemma4::load_layer_embedding(const ArchitectureInputs& source, int64_t l, Gemma4Block& block) const {
  if (ple_width_ == 0) return;
  block.layer_gate = source.loader.linear(in_block(l, "inp_gate"), embedding_width_, ple_width_);
  block.layer_proj = source.loader.linear(in_block(l, "proj"), ple_width_, embedding_width_);
  block.layer_post_norm = load_norm(source, l, "post_norm");
}

Activations Gemma4::embed(Batch& step) const {
  Activations x = Architecture::embed(step);
  if (ple_width_ == 0) return x;
  // What each layer adds: a mixture of the token's own per-layer embedding and a projection of its main one.
  Activations table = look_up(step, *ple_table_.weight);
  scale(table, std::sqrt(static_cast<float>(ple_width_)));
  Activations projected = apply(step, ple_proj_, x);
  scale(projected, 1.0f / std::sqrt(static_cast<float>(embedding_width_)));
  rms_norm_groups(projected, ple_width_, ple_norm_, eps_);
  add(projected, table);
  scale(projected, 1.0f / std::sqrt(2.0f));
  step.extra = std::move(projected);
  return x;
}

Activations Gemma4::attention(Batch& step, int layer, const Activations& a) const {
  const Gemma4Block& block = blocks_[static_cast<size_t>(layer)];
  const RopeTable& table = step.table(*block.rope);
  Activations q = apply(step, block.q, a);
  rms_norm_groups(q, block.head_dim, block.q_norm, eps_);
  rotate(*block.rope, table, q, block.heads, block.head_dim);
  if (block.kv_owner == layer) {
    Activations k = apply(step, block.k, a);
    Activations v = block.v ? apply(step, block.v, a) : k;
    turn_keys(step, block, k, v);
    store(step, layer, k, v);
  }
  return apply(step, block.out, attend(step, block.kv_owner, attend_args(block, step.compute), q));
}

/// From what was projected to what is stored.
void Gemma4::turn_keys(Batch& step, const Gemma4Block& block, Activations& k, Activations& v) const {
  rms_norm_groups(k, block.head_dim, block.k_norm, eps_);
  rms_norm_groups(v, block.head_dim, {}, eps_);
  rotate(*block.rope, step.table(*block.rope), k, block.kv_heads, block.head_dim);
}

AttendArgs Gemma4::attend_args(const Gemma4Block& block, Compute compute) {
  return {.heads = block.heads,
          .kv_heads = block.kv_heads,
          .key_dim = block.head_dim,
          .value_dim = block.head_dim,
          .scale = 1,
          .window = block.window,
          .compute = compute};
}

Activations Gemma4::feed_forward(const Batch& step, const Gemma4Block& block, const Activations& h) const {
  Activations f = block.ffn(step, rms_norm(h, block.ffn_norm, eps_));
  if (!block.experts) return f;
  f = rms_norm(f, block.post_ffw_norm_1, eps_);
  Activations u = rms_norm(h, {}, eps_);
  scale_router_input(block, u);
  const Activations mixed =
      block.experts.mix(step, apply(step, block.router, u), rms_norm(h, block.pre_ffw_norm_2, eps_));
  add(f, rms_norm(mixed, block.post_ffw_norm_2, eps_));
  return f;
}

void Gemma4::scale_router_input(const Gemma4Block& block, Activations& u) const {
  scale(u, 1.0f / std::sqrt(static_cast<float>(embedding_width_)));
  for (int64_t t = 0; t < u.count(); ++t)
    for (int64_t i = 0; i < u.width(); ++i) u.at(t)[i] *= block.router_scale[static_cast<size_t>(i)];
}

void Gemma4::add_layer_embedding(const Batch& step, int layer, Activations& x) const {
  const Gemma4Block& block = blocks_[static_cast<size_t>(layer)];
  Activations gate = apply(step, block.layer_gate, x);
  gate_with(Activation::gelu, gate, columns(step.extra, layer * ple_width_, ple_width_));
  add(x, rms_norm(apply(step, block.layer_proj, gate), block.layer_post_norm, eps_));
}

void Gemma4::layer(Batch& step, int layer, Activations& x) const {
  const Gemma4Block& block = blocks_[static_cast<size_t>(layer)];
  add(x,
      rms_norm(attention(step, layer, rms_norm(x, block.attn_norm, eps_)), block.post_attention_norm, eps_));
  add(x, rms_norm(feed_forward(step, block, x), block.post_ffw_norm, eps_));
  if (ple_width_ > 0) add_layer_embedding(step, layer, x);
  if (block.output_scale != 1) scale(x, block.output_scale);
}

LayerCacheShape Gemma4::memory(int layer) const {
  const Gemma4Block& block = blocks_[static_cast<size_t>(layer)];
  if (block.kv_owner != layer) return {};
  const int64_t width = block.kv_heads * block.head_dim;
  return {.key_width = width, .value_width = width, .window = block.window};
}

int Gemma4::restart(int layer) const {
  // Layers that share keys and values need those of both owners.
  return own_kv_ < layers_ ? static_cast<int>(std::min<int64_t>(layer, own_kv_ - 2)) : layer;
}

std::unique_ptr<Architecture> make_gemma4(const ArchitectureInputs& source) {
  return std::make_unique<Gemma4>(source);
}

}  // namespace snug::infer

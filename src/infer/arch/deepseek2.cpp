// deepseek2: DeepSeek V2, V3, R1, Kimi K2, GLM-4.7-Flash; multi-head latent attention (§2.12 of the
// reference).
#include <algorithm>
#include <cmath>

#include "infer/arch/all.hpp"
#include "infer/arch/deepseek2.hpp"
#include "infer/layers/ops.hpp"
#include "infer/reverse/columns.hpp"

namespace snug::infer {

DeepSeek2::DeepSeek2(const ArchitectureInputs& source)
    : Architecture{source, Head::optional},
      heads_{source.hp.heads[0]},
      latent_{source.keys.need_integer("attention.kv_lora_rank")},
      rotated_{source.hp.rope.dims},
      eps_{source.hp.rms_eps} {
  const Hparams& hp = source.hp;
  const int64_t key = source.keys.integer("attention.key_length_mla", hp.key_dim);
  value_dim_ = source.keys.integer("attention.value_length_mla", hp.value_dim);
  plain_ = key - rotated_;
  if (plain_ <= 0) source.keys.fail("rope.dimension_count", "leaves nothing of the head");
  if (latent_ <= 0) source.keys.fail("attention.kv_lora_rank", "is 0");
  load_scale(source);
  for (int64_t l = 0; l < hp.layers; ++l) blocks_.push_back(load_block(source, l));
}

void DeepSeek2::load_scale(const ArchitectureInputs& source) {
  const RopeKeys& keys = source.hp.rope;
  rope_ = make_rope(keys, RopeKind::norm);
  rope_.magnitude = yarn_magnitude(keys, true);
  scale_ = 1.0f / std::sqrt(static_cast<float>(key_dim()));
  // The converter stores a tenth of mscale_all_dim. As llama.cpp has it, whether the scaling is YaRN or not.
  const float log_factor = std::log(1 / keys.frequency_scale());
  const float original = rope_.magnitude * (1 + 0.1f * log_factor);
  const float by = original * (1 + 0.1f * (keys.yarn_log_multiplier / 0.1f) * log_factor);
  scale_ *= by * by;
  temperature_ = source.keys.real("attention.temperature_scale", 0);
  temperature_context_ = source.keys.integer("attention.temperature_length", keys.original_context);
}

DeepSeek2Block DeepSeek2::load_block(const ArchitectureInputs& source, int64_t l) const {
  Loader& loader = source.loader;
  const int64_t e = source.hp.embedding, q = heads_ * key_dim();
  DeepSeek2Block block;
  block.attn_norm = load_norm(source, l, "attn_norm");
  block.ffn_norm = load_norm(source, l, "ffn_norm");
  block.q = loader.linear_if(in_block(l, "attn_q"), e, q);
  if (!block.q) {
    const int64_t rank = source.keys.need_integer("attention.q_lora_rank");
    block.q_a = loader.linear(in_block(l, "attn_q_a"), e, rank);
    block.q_a_norm = loader.vector(in_block(l, "attn_q_a_norm.weight"), rank);
    block.q_b = loader.linear(in_block(l, "attn_q_b"), rank, q);
  }
  block.kv_a = loader.linear(in_block(l, "attn_kv_a_mqa"), e, latent_ + rotated_);
  block.kv_a_norm = loader.vector(in_block(l, "attn_kv_a_norm.weight"), latent_);
  load_keys_and_values(source, l, block);
  block.out = loader.linear(in_block(l, "attn_output"), heads_ * value_dim_, e);
  block.ffn = load_ffn(source, l);
  return block;
}

void DeepSeek2::load_keys_and_values(const ArchitectureInputs& source, int64_t l, DeepSeek2Block& block) const {
  Loader& loader = source.loader;
  block.kv_b = loader.linear_if(in_block(l, "attn_kv_b"), latent_, heads_ * (plain_ + value_dim_));
  if (block.kv_b) return;
  block.k_b = loader.linear(in_block(l, "attn_k_b"), plain_, latent_, heads_);
  block.v_b = loader.linear(in_block(l, "attn_v_b"), latent_, value_dim_, heads_);
}

FeedForward DeepSeek2::load_ffn(const ArchitectureInputs& source, int64_t l) const {
  const Hparams& hp = source.hp;
  FeedForward ffn;
  if (l < hp.leading_dense) {
    ffn.dense = GatedFfn{source.loader, l, hp.embedding, hp.ffn[static_cast<size_t>(l)], Activation::silu};
    return ffn;
  }
  const bool flash =
      (hp.layers == 47 || hp.layers == 48) && hp.vocab == 154880;  // GLM-4.7-Flash: key not written
  Routing routing =
      make_routing(source.keys, hp, flash ? Routing::Gating::sigmoid : Routing::Gating::softmax);
  routing.selection = source.loader.vector_if(in_block(l, "exp_probs_b.bias"), hp.experts);
  ffn.experts = load_experts(source.loader, l, hp.embedding, hp.expert_ffn, routing);
  if (hp.shared_experts > 0)
    load_shared_expert(ffn, source.loader, l, hp.embedding, hp.expert_ffn * hp.shared_experts, false);
  return ffn;
}

Activations DeepSeek2::attention(Batch& step, int layer, const Activations& a) const {
  const DeepSeek2Block& block = blocks_[static_cast<size_t>(layer)];
  const RopeTable& table = step.table(rope_);
  Activations q = block.q ? apply(step, block.q, a)
                   : apply(step, block.q_b, rms_norm(apply(step, block.q_a, a), block.q_a_norm, eps_));
  rotate(rope_, table, q, heads_, key_dim(), plain_);
  if (block.kv_b) temper(step, q);
  const Activations z = apply(step, block.kv_a, a);
  const Activations latent = rms_norm(columns(z, 0, latent_), block.kv_a_norm, eps_);
  Activations rotated = columns(z, latent_, rotated_);
  rotate(rope_, table, rotated, 1, rotated_);
  const Activations o = block.kv_b ? plain_attention(step, layer, q, latent, rotated)
                            : latent_attention(step, layer, q, latent, rotated);
  return apply(step, block.out, o);
}

/// For keys that are latent and rotated part side by side.
Activations DeepSeek2::latent_queries(const Batch& step, const DeepSeek2Block& block, const Activations& q) const {
  const int64_t row = latent_ + rotated_;
  Activations queries(q.count(), heads_ * row);
  for (int64_t h = 0; h < heads_; ++h) {
    put(queries, h * row, apply(step, block.k_b, columns(q, h * key_dim(), plain_), h), 0, latent_);
    put(queries, h * row + latent_, q, h * key_dim() + plain_, rotated_);
  }
  temper(step, queries);  // behind k_b, as llama.cpp has it: an imatrix shows what k_b reads
  return queries;
}

AttendArgs DeepSeek2::attend_args(bool plain, Compute compute) const {
  return {.heads = heads_,
          .kv_heads = plain ? heads_ : 1,
          .key_dim = plain ? key_dim() : latent_ + rotated_,
          .value_dim = plain ? value_dim_ : latent_,
          .scale = scale_,
          .compute = compute};
}

Activations DeepSeek2::latent_attention(Batch& step, int layer, const Activations& q, const Activations& latent,
                                 const Activations& rotated) const {
  const DeepSeek2Block& block = blocks_[static_cast<size_t>(layer)];
  store(step, layer, side_by_side({&latent, &rotated}), {});
  const Activations queries = latent_queries(step, block, q);
  const Activations seen = attend(step, layer, attend_args(false, step.compute), queries);
  Activations o(q.count(), heads_ * value_dim_);
  for (int64_t h = 0; h < heads_; ++h)
    put(o, h * value_dim_, apply(step, block.v_b, columns(seen, h * latent_, latent_), h), 0, value_dim_);
  return o;
}

DeepSeek2::KeysAndValues DeepSeek2::plain_keys(const Activations& kv, const Activations& rotated) const {
  KeysAndValues all{Activations(kv.count(), heads_ * key_dim()), Activations(kv.count(), heads_ * value_dim_)};
  for (int64_t h = 0; h < heads_; ++h) {
    const int64_t from = h * (plain_ + value_dim_);
    put(all.keys, h * key_dim(), kv, from, plain_);
    put(all.keys, h * key_dim() + plain_, rotated, 0, rotated_);
    put(all.values, h * value_dim_, kv, from + plain_, value_dim_);
  }
  return all;
}

Activations DeepSeek2::plain_attention(Batch& step, int layer, const Activations& q, const Activations& latent,
                                const Activations& rotated) const {
  const DeepSeek2Block& block = blocks_[static_cast<size_t>(layer)];
  const auto [keys, values] = plain_keys(apply(step, block.kv_b, latent), rotated);
  store(step, layer, keys, values);
  return attend(step, layer, attend_args(true, step.compute), q);
}

std::unique_ptr<Architecture> make_deepseek2(const ArchitectureInputs& source) {
  return std::make_unique<DeepSeek2>(source);
}

}  // namespace snug::infer

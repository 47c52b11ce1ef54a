#include <algorithm>
#include <cmath>
#include <utility>

#include "infer/arch/gemma4.hpp"
#include "infer/layers/ops.hpp"
#include "infer/reverse/columns.hpp"
#include "infer/reverse/ops.hpp"

namespace snug::infer {

bool Gemma4::lends(int layer) const {
  return std::ranges::any_of(blocks_.begin() + layer + 1, blocks_.end(),
                             [&](const Gemma4Block& block) { return block.kv_owner == layer; });
}

/// What block `owner` stored, with room for gradients.
const Reverse::Lent& Gemma4::keys_and_values(Reverse& reverse, int owner) const {
  const auto [at, fresh] = reverse.lent.try_emplace(owner);
  Reverse::Lent& lent = at->second;
  if (!fresh) return lent;
  const Gemma4Block& block = blocks_[static_cast<size_t>(owner)];
  const Activations a = rms_norm(reverse.lender(owner), block.attn_norm, eps_);
  lent.keys = apply(reverse.step, block.k, a);
  lent.values = block.v ? apply(reverse.step, block.v, a) : lent.keys;
  turn_keys(reverse.step, block, lent.keys, lent.values);
  lent.by_keys = Activations(reverse.draws * a.count(), lent.keys.width());
  lent.by_values = Activations(reverse.draws * a.count(), lent.values.width());
  return lent;
}

class Gemma4::AttentionWay {
 public:
  AttentionWay(const Gemma4& model, Reverse& reverse, int layer, Activations a)
      : model_{model},
        reverse_{reverse},
        block_{model.blocks_[static_cast<size_t>(layer)]},
        layer_{layer},
        a_{std::move(a)} {
    q_ = apply(reverse.step, block_.q, a_);
    Activations q = q_, k, v;
    rms_norm_groups(q, block_.head_dim, block_.q_norm, model.eps_);
    rotate(*block_.rope, reverse.step.table(*block_.rope), q, block_.heads, block_.head_dim);
    if (owns()) {
      k_ = k = apply(reverse.step, block_.k, a_);
      v_ = v = block_.v ? apply(reverse.step, block_.v, a_) : k_;
      model.turn_keys(reverse.step, block_, k, v);
    } else {
      const Reverse::Lent& lent = model.keys_and_values(reverse, static_cast<int>(block_.kv_owner));
      k = lent.keys;
      v = lent.values;
    }
    heads_ = ChunkAttention{attend_args(block_, Compute::exact), std::move(q), std::move(k), std::move(v)};
    seen_ = heads_.output();
    result_ = apply(reverse.step, block_.out, seen_);
  }

  const Activations& result() const { return result_; }

  /// By a, from g by the result.
  Activations back(const Activations& g) const {
    auto [q, k, v] = heads_.reverse(reverse_linear(reverse_, block_.out, seen_, g));
    reverse_rotate(*block_.rope, table(), q, block_.heads, block_.head_dim);
    q = reverse_rms_norm_groups(q_, block_.head_dim, block_.q_norm, model_.eps_, q);
    Activations by = reverse_linear(reverse_, block_.q, a_, q);
    if (owns())
      back_to_keys(std::move(k), std::move(v), by);
    else
      give_back(k, v);
    return by;
  }

 private:
  bool owns() const { return block_.kv_owner == layer_; }
  const RopeTable& table() const { return reverse_.step.table(*block_.rope); }

  void give_back(const Activations& k, const Activations& v) const {
    Reverse::Lent& lent = reverse_.lent.at(static_cast<int>(block_.kv_owner));
    add(lent.by_keys, k);
    add(lent.by_values, v);
  }

  void back_to_keys(Activations k, Activations v, Activations& by) const {
    if (const auto lent = reverse_.lent.find(layer_); lent != reverse_.lent.end()) {
      add(k, lent->second.by_keys);
      add(v, lent->second.by_values);
    }
    reverse_rotate(*block_.rope, table(), k, block_.kv_heads, block_.head_dim);
    k = reverse_rms_norm_groups(k_, block_.head_dim, block_.k_norm, model_.eps_, k);
    v = reverse_rms_norm_groups(v_, block_.head_dim, {}, model_.eps_, v);
    if (block_.v)
      add(by, reverse_linear(reverse_, block_.v, a_, v));
    else
      add(k, v);
    add(by, reverse_linear(reverse_, block_.k, a_, k));
  }

  const Gemma4& model_;
  Reverse& reverse_;
  const Gemma4Block& block_;
  int layer_;
  Activations a_, q_, k_, v_;  // k_, v_: as projected, of a block that owns them
  ChunkAttention heads_;
  Activations seen_, result_;
};

Activations Gemma4::reverse_feed_forward(const Reverse& reverse, const Gemma4Block& block, const Activations& h,
                                  const Activations& g) const {
  const Activations in = rms_norm(h, block.ffn_norm, eps_);
  if (!block.experts) return reverse_rms_norm(h, block.ffn_norm, eps_, block.ffn.reverse(reverse, in, g));
  const Activations by_dense = reverse_rms_norm(block.ffn(reverse.step, in), block.post_ffw_norm_1, eps_, g);
  Activations by = reverse_rms_norm(h, block.ffn_norm, eps_, block.ffn.reverse(reverse, in, by_dense));
  Activations u = rms_norm(h, {}, eps_);
  scale_router_input(block, u);
  const Activations logits = apply(reverse.step, block.router, u);
  const Activations mixed_in = rms_norm(h, block.pre_ffw_norm_2, eps_);
  const Activations by_mixed = reverse_rms_norm(block.experts.mix(reverse.step, logits, mixed_in),
                                         block.post_ffw_norm_2, eps_, g);
  const Experts::Gradients back = block.experts.reverse_mix(reverse, logits, mixed_in, by_mixed);
  add(by, reverse_rms_norm(h, block.pre_ffw_norm_2, eps_, back.x));
  Activations by_router = reverse_linear(reverse, block.router, u, back.logits);
  scale_router_input(block, by_router);
  add(by, reverse_rms_norm(h, {}, eps_, by_router));
  return by;
}

void Gemma4::reverse_layer_embedding(Reverse& reverse, int layer, const Activations& x, Activations& g) const {
  const Gemma4Block& block = blocks_[static_cast<size_t>(layer)];
  const Activations gate = apply(reverse.step, block.layer_gate, x);
  const Activations own = columns(reverse.step.extra, layer * ple_width_, ple_width_);
  Activations gated = gate;
  gate_with(Activation::gelu, gated, own);
  const Activations by_result =
      reverse_rms_norm(apply(reverse.step, block.layer_proj, gated), block.layer_post_norm, eps_, g);
  const GateGradients by = reverse_gate(Activation::gelu, gate, own,
                                        reverse_linear(reverse, block.layer_proj, gated, by_result));
  if (reverse.by_extra.count() == 0) reverse.by_extra = Activations(g.count(), ple_width_ * layers_);
  add_to_columns(reverse.by_extra, layer * ple_width_, by.up);
  add(g, reverse_linear(reverse, block.layer_gate, x, by.gate));
}

void Gemma4::reverse_layer(Reverse& reverse, int layer, const Activations& x, Activations& g) const {
  const Gemma4Block& block = blocks_[static_cast<size_t>(layer)];
  const AttentionWay attention{*this, reverse, layer, rms_norm(x, block.attn_norm, eps_)};
  Activations between = x;
  add(between, rms_norm(attention.result(), block.post_attention_norm, eps_));
  const Activations fed = feed_forward(reverse.step, block, between);
  if (block.output_scale != 1) scale(g, block.output_scale);
  if (ple_width_ > 0) {
    Activations behind = between;
    add(behind, rms_norm(fed, block.post_ffw_norm, eps_));
    reverse_layer_embedding(reverse, layer, behind, g);
  }
  add(g, reverse_feed_forward(reverse, block, between, reverse_rms_norm(fed, block.post_ffw_norm, eps_, g)));
  const Activations by = attention.back(reverse_rms_norm(attention.result(), block.post_attention_norm, eps_, g));
  add(g, reverse_rms_norm(x, block.attn_norm, eps_, by));
}

void Gemma4::reverse_embed(Reverse& reverse, const Activations& g) const {
  if (ple_width_ == 0 || reverse.by_extra.count() == 0) return Architecture::reverse_embed(reverse, g);
  Activations by_table = reverse.by_extra;
  scale(by_table, 1.0f / std::sqrt(2.0f));
  const Activations x = Architecture::embed(reverse.step);
  const float by = 1.0f / std::sqrt(static_cast<float>(embedding_width_));
  Activations projected = apply(reverse.step, ple_proj_, x);
  scale(projected, by);
  Activations by_projected = reverse_rms_norm_groups(projected, ple_width_, ple_norm_, eps_, by_table);
  scale(by_projected, by);
  Activations all = reverse_linear(reverse, ple_proj_, x, by_projected);
  add(all, g);
  scale(by_table, std::sqrt(static_cast<float>(ple_width_)));
  if (reverse.hooks.on_look_up) reverse.hooks.on_look_up(*ple_table_.weight, by_table);
  Architecture::reverse_embed(reverse, all);
}

}  // namespace snug::infer

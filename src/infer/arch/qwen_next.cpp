// qwen3next, qwen35, qwen35moe: gated delta nets with a full-attention layer every few (§2.14 of the
// reference).
#include <algorithm>
#include <cmath>
#include <utility>

#include "infer/arch/all.hpp"
#include "infer/layers/delta_net.hpp"
#include "infer/layers/delta_net_reverse.hpp"
#include "infer/layers/feed_forward.hpp"
#include "infer/layers/ops.hpp"
#include "infer/reverse/ops.hpp"

namespace snug::infer {
namespace {

/// Attention whose q projection also yields a gate: per head the query, then the gate of its output.
struct GatedAttention {
  Qkv qkv;  // q: queries and their gates
  Linear out;
  std::vector<float> q_norm, k_norm;
};

struct Block {
  bool recurrent = false;
  std::vector<float> attn_norm, post_attention_norm;
  DeltaNet delta;
  GatedAttention attention;
  FeedForward ffn;
};

class QwenNext : public Architecture {
 public:
  explicit QwenNext(const ArchitectureInputs& source);

  void layer(Batch& step, int layer, Activations& x) const override {
    const Block& block = blocks_[static_cast<size_t>(layer)];
    const Activations a = rms_norm(x, block.attn_norm, eps_);
    add(x, block.recurrent ? block.delta(step, a) : attention(step, layer, a));
    add(x, block.ffn(step, rms_norm(x, block.post_attention_norm, eps_)));
  }

  LayerCacheShape memory(int layer) const override {
    const Block& block = blocks_[static_cast<size_t>(layer)];
    if (block.recurrent) return block.delta.memory();
    return {.key_width = kv_heads_ * head_dim_, .value_width = kv_heads_ * head_dim_};
  }

  bool reverses(int) const override { return true; }
  void reverse_layer(Reverse& reverse, int layer, const Activations& x, Activations& g) const override;

 private:
  DeltaNetShape delta_shape(const ArchitectureInputs& source) const;
  GatedAttention load_attention(const ArchitectureInputs& source, int64_t l) const;
  FeedForward load_ffn(const ArchitectureInputs& source, int64_t l) const;
  Activations attention(Batch& step, int layer, const Activations& a) const;
  Activations queries_of(const Activations& both) const;
  void open_gates(const Activations& both, Activations& o) const;  // o: of several draws, one after the other
  AttendArgs attend_args(Compute compute) const;
  class AttentionWay;

  bool next_, experts_;
  float eps_;
  int64_t heads_, kv_heads_, head_dim_;
  Rope rope_;
  std::vector<Block> blocks_;
};

/// Which layers are recurrent: a list, or all but every n-th.
std::vector<bool> recurrent_layers(const ArchitectureInputs& source) {
  const int64_t interval = source.keys.integer("full_attention_interval", 4);
  if (interval <= 0) source.keys.fail("full_attention_interval", "is 0");
  std::vector<bool> recurrent;
  for (int64_t l = 0; l < source.hp.blocks; ++l) recurrent.push_back((l + 1) % interval != 0);
  if (source.keys.is_array("attention.recurrent_layers")) {
    const auto flags = source.keys.per_block("attention.recurrent_layers", source.hp.blocks, 0);
    for (size_t l = 0; l < flags.size(); ++l) recurrent[l] = flags[l] != 0;
  }
  return recurrent;
}

QwenNext::QwenNext(const ArchitectureInputs& source)
    : Architecture{source, Head::optional},
      next_{source.hp.architecture == "qwen3next"},
      experts_{source.hp.architecture != "qwen35"},
      eps_{source.hp.rms_eps} {
  const Hparams& hp = source.hp;
  const std::vector<bool> recurrent = recurrent_layers(source);
  const DeltaNetShape shape = delta_shape(source);
  heads_ = hp.heads[0];
  kv_heads_ = hp.kv_heads[0];
  head_dim_ = hp.key_dim;
  rope_ = make_rope(hp.rope, RopeKind::neox);
  if (!next_) rope_.still = still_pairs(hp.rope, true);
  for (int64_t l = 0; l < hp.layers; ++l) {
    Block& block = blocks_.emplace_back();
    block.recurrent = recurrent[static_cast<size_t>(l)];
    block.attn_norm = load_norm(source, l, "attn_norm");
    block.post_attention_norm = load_norm(source, l, "post_attention_norm");
    if (block.recurrent)
      block.delta = DeltaNet{source.loader, l, shape};
    else
      block.attention = load_attention(source, l);
    block.ffn = load_ffn(source, l);
  }
}

DeltaNetShape QwenNext::delta_shape(const ArchitectureInputs& source) const {
  const ArchMetadata& keys = source.keys;
  const DeltaNetShape shape{.embedding = source.hp.embedding,
                            .kernel = keys.need_integer("ssm.conv_kernel"),
                            .dim = keys.need_integer("ssm.state_size"),
                            .key_heads = keys.need_integer("ssm.group_count"),
                            .value_heads = keys.need_integer("ssm.time_step_rank"),
                            .order = next_ ? HeadOrder::grouped : HeadOrder::tiled,
                            .eps = source.hp.rms_eps};
  for (const int64_t n : {shape.kernel, shape.dim, shape.key_heads, shape.value_heads})
    if (n <= 0 || n > 65536) keys.fail("ssm", "a size is out of range");
  if (shape.value_heads % shape.key_heads != 0)
    keys.fail("ssm.group_count", "does not divide ssm.time_step_rank");
  if (keys.need_integer("ssm.inner_size") != shape.value_heads * shape.dim)
    keys.fail("ssm.inner_size", "is not time_step_rank * state_size");
  return shape;
}

GatedAttention QwenNext::load_attention(const ArchitectureInputs& source, int64_t l) const {
  Loader& loader = source.loader;
  const int64_t e = source.hp.embedding;
  GatedAttention w;
  w.qkv = Qkv{loader, l, e, 2 * heads_ * head_dim_, kv_heads_ * head_dim_};
  w.out = loader.linear(in_block(l, "attn_output"), heads_ * head_dim_, e);
  w.q_norm = loader.vector(in_block(l, "attn_q_norm.weight"), head_dim_);
  w.k_norm = loader.vector(in_block(l, "attn_k_norm.weight"), head_dim_);
  return w;
}

FeedForward QwenNext::load_ffn(const ArchitectureInputs& source, int64_t l) const {
  const Hparams& hp = source.hp;
  const int64_t width = hp.ffn[static_cast<size_t>(l)];
  FeedForward ffn;
  if (!experts_) {
    ffn.dense = GatedFfn{source.loader, l, hp.embedding, width, Activation::silu};
    return ffn;
  }
  if (hp.experts == 0) source.keys.fail("expert_count", "is missing or 0");
  const Routing routing{.experts = hp.experts, .used = hp.experts_used, .normalise = true};
  ffn.experts = load_experts(source.loader, l, hp.embedding,
                             hp.expert_ffn ? hp.expert_ffn : width / hp.experts_used, routing);
  load_shared_expert(ffn, source.loader, l, hp.embedding, hp.shared_ffn ? hp.shared_ffn : width, true);
  return ffn;
}

Activations QwenNext::queries_of(const Activations& both) const {
  Activations q(both.count(), heads_ * head_dim_);
  for (int64_t t = 0; t < both.count(); ++t)
    for (int64_t h = 0; h < heads_; ++h)
      std::copy_n(both.at(t) + 2 * h * head_dim_, head_dim_, q.at(t) + h * head_dim_);
  return q;
}

void QwenNext::open_gates(const Activations& both, Activations& o) const {
  const int64_t d = head_dim_;
  for (int64_t i = 0; i < o.count(); ++i)
    for (int64_t h = 0; h < heads_; ++h) {
      const float* gates = both.at(i % both.count()) + (2 * h + 1) * d;
      for (int64_t k = 0; k < d; ++k) o.at(i)[h * d + k] *= sigmoid(gates[k]);
    }
}

AttendArgs QwenNext::attend_args(Compute compute) const {
  return {.heads = heads_,
          .kv_heads = kv_heads_,
          .key_dim = head_dim_,
          .value_dim = head_dim_,
          .scale = 1.0f / std::sqrt(static_cast<float>(head_dim_)),
          .compute = compute};
}

Activations QwenNext::attention(Batch& step, int layer, const Activations& a) const {
  const GatedAttention& w = blocks_[static_cast<size_t>(layer)].attention;
  auto [both, k, v] = w.qkv(step, a);
  Activations q = queries_of(both);
  rms_norm_groups(q, head_dim_, w.q_norm, eps_);
  rms_norm_groups(k, head_dim_, w.k_norm, eps_);
  const RopeTable& table = step.table(rope_);
  rotate(rope_, table, q, heads_, head_dim_);
  rotate(rope_, table, k, kv_heads_, head_dim_);
  store(step, layer, k, v);
  Activations o = attend(step, layer, attend_args(step.compute), q);
  open_gates(both, o);
  return apply(step, w.out, o);
}

/// Gated attention of one whole sequence, and the way back.
class QwenNext::AttentionWay {
 public:
  AttentionWay(const QwenNext& model, Reverse& reverse, const GatedAttention& w, Activations a)
      : model_{model}, reverse_{reverse}, w_{w}, a_{std::move(a)} {
    auto [both, k, v] = w.qkv(reverse.step, a_);
    both_ = std::move(both);
    k_ = k;
    q_ = model.queries_of(both_);
    Activations q = q_;
    rms_norm_groups(q, model.head_dim_, w.q_norm, model.eps_);
    rms_norm_groups(k, model.head_dim_, w.k_norm, model.eps_);
    const RopeTable& table = reverse.step.table(model.rope_);
    rotate(model.rope_, table, q, model.heads_, model.head_dim_);
    rotate(model.rope_, table, k, model.kv_heads_, model.head_dim_);
    heads_ = ChunkAttention{model.attend_args(Compute::exact), std::move(q), std::move(k), std::move(v)};
    seen_ = heads_.output();
    opened_ = seen_;
    model.open_gates(both_, opened_);
    result_ = apply(reverse.step, w.out, opened_);
  }

  const Activations& result() const { return result_; }

  Activations back(const Activations& g) const {
    const Activations by_opened = reverse_linear(reverse_, w_.out, opened_, g);
    Activations by_seen = by_opened;
    model_.open_gates(both_, by_seen);
    auto [q, k, v] = heads_.reverse(by_seen);
    const RopeTable& table = reverse_.step.table(model_.rope_);
    reverse_rotate(model_.rope_, table, q, model_.heads_, model_.head_dim_);
    reverse_rotate(model_.rope_, table, k, model_.kv_heads_, model_.head_dim_);
    q = reverse_rms_norm_groups(q_, model_.head_dim_, w_.q_norm, model_.eps_, q);
    k = reverse_rms_norm_groups(k_, model_.head_dim_, w_.k_norm, model_.eps_, k);
    return w_.qkv.reverse(reverse_, a_, {by_queries_and_gates(q, by_opened), std::move(k), std::move(v)});
  }

 private:
  Activations by_queries_and_gates(const Activations& q, const Activations& by_opened) const {
    Activations both(q.count(), 2 * q.width());
    const int64_t d = model_.head_dim_;
    for (int64_t i = 0; i < q.count(); ++i)
      for (int64_t h = 0; h < model_.heads_; ++h) {
        const int64_t t = i % seen_.count(), from = h * d, to = 2 * h * d;
        std::copy_n(q.at(i) + from, d, both.at(i) + to);
        for (int64_t k = 0; k < d; ++k) {
          const float s = sigmoid(both_.at(t)[to + d + k]);
          both.at(i)[to + d + k] = by_opened.at(i)[from + k] * seen_.at(t)[from + k] * s * (1 - s);
        }
      }
    return both;
  }

  const QwenNext& model_;
  Reverse& reverse_;
  const GatedAttention& w_;
  Activations a_, both_, q_, k_;
  ChunkAttention heads_;
  Activations seen_, opened_, result_;
};

void QwenNext::reverse_layer(Reverse& reverse, int layer, const Activations& x, Activations& g) const {
  const Block& block = blocks_[static_cast<size_t>(layer)];
  const auto through = [&](const auto& way) {
    Activations between = x;
    add(between, way.result());
    const Activations by_ffn = block.ffn.reverse(reverse, rms_norm(between, block.post_attention_norm, eps_), g);
    add(g, reverse_rms_norm(between, block.post_attention_norm, eps_, by_ffn));
    add(g, reverse_rms_norm(x, block.attn_norm, eps_, way.back(g)));
  };
  Activations a = rms_norm(x, block.attn_norm, eps_);
  if (block.recurrent)
    through(DeltaNetWay{block.delta, reverse, std::move(a)});
  else
    through(AttentionWay{*this, reverse, block.attention, std::move(a)});
}

}  // namespace

std::unique_ptr<Architecture> make_qwen_next(const ArchitectureInputs& source) {
  return std::make_unique<QwenNext>(source);
}

}  // namespace snug::infer

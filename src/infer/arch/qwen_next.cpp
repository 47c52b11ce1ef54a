// qwen3next, qwen35, qwen35moe: gated delta nets with a full-attention layer every few (§2.14 of the
// reference).
#include <algorithm>
#include <cmath>

#include "infer/arch/all.hpp"
#include "infer/layers/delta_net.hpp"
#include "infer/layers/feed_forward.hpp"
#include "infer/layers/ops.hpp"

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
  explicit QwenNext(const Source& source);

  void layer(Step& step, int layer, Rows& x) const override {
    const Block& block = blocks_[static_cast<size_t>(layer)];
    const Rows a = rms_norm(x, block.attn_norm, eps_);
    add(x, block.recurrent ? block.delta(step, a) : attention(step, layer, a));
    add(x, block.ffn(step, rms_norm(x, block.post_attention_norm, eps_)));
  }

  LayerMemory memory(int layer) const override {
    const Block& block = blocks_[static_cast<size_t>(layer)];
    if (block.recurrent) return block.delta.memory();
    return {.key_width = kv_heads_ * head_dim_, .value_width = kv_heads_ * head_dim_};
  }

 private:
  DeltaNetShape delta_shape(const Source& source) const;
  GatedAttention load_attention(const Source& source, int64_t l) const;
  FeedForward load_ffn(const Source& source, int64_t l) const;
  Rows attention(Step& step, int layer, const Rows& a) const;

  bool next_, experts_;
  float eps_;
  int64_t heads_, kv_heads_, head_dim_;
  Rope rope_;
  std::vector<Block> blocks_;
};

/// Which layers are recurrent: a list, or all but every n-th.
std::vector<bool> recurrent_layers(const Source& source) {
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

QwenNext::QwenNext(const Source& source)
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

DeltaNetShape QwenNext::delta_shape(const Source& source) const {
  const Keys& keys = source.keys;
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

GatedAttention QwenNext::load_attention(const Source& source, int64_t l) const {
  Loader& loader = source.loader;
  const int64_t e = source.hp.embedding;
  GatedAttention w;
  w.qkv = Qkv{loader, l, e, 2 * heads_ * head_dim_, kv_heads_ * head_dim_};
  w.out = loader.linear(in_block(l, "attn_output"), heads_ * head_dim_, e);
  w.q_norm = loader.vector(in_block(l, "attn_q_norm.weight"), head_dim_);
  w.k_norm = loader.vector(in_block(l, "attn_k_norm.weight"), head_dim_);
  return w;
}

FeedForward QwenNext::load_ffn(const Source& source, int64_t l) const {
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

Rows QwenNext::attention(Step& step, int layer, const Rows& a) const {
  const GatedAttention& w = blocks_[static_cast<size_t>(layer)].attention;
  const int64_t d = head_dim_;
  auto [both, k, v] = w.qkv(step, a);
  Rows q(a.count(), heads_ * d);
  for (int64_t t = 0; t < a.count(); ++t)
    for (int64_t h = 0; h < heads_; ++h) std::copy_n(both.at(t) + 2 * h * d, d, q.at(t) + h * d);
  rms_norm_groups(q, d, w.q_norm, eps_);
  rms_norm_groups(k, d, w.k_norm, eps_);
  const RopeTable& table = step.table(rope_);
  rotate(rope_, table, q, heads_, d);
  rotate(rope_, table, k, kv_heads_, d);
  store(step, layer, k, v);
  const AttendArgs args{.heads = heads_,
                        .kv_heads = kv_heads_,
                        .key_dim = d,
                        .value_dim = d,
                        .scale = 1.0f / std::sqrt(static_cast<float>(d)),
                        .compute = step.compute};
  Rows o = attend(step, layer, args, q);
  for (int64_t t = 0; t < o.count(); ++t)
    for (int64_t h = 0; h < heads_; ++h)
      for (int64_t i = 0; i < d; ++i) o.at(t)[h * d + i] *= sigmoid(both.at(t)[(2 * h + 1) * d + i]);
  return apply(step, w.out, o);
}

}  // namespace

std::unique_ptr<Architecture> make_qwen_next(const Source& source) {
  return std::make_unique<QwenNext>(source);
}

}  // namespace snug::infer

#include "infer/layers/attention.hpp"

#include <algorithm>
#include <cmath>

#include "base/parallel.hpp"
#include "infer/layers/ops.hpp"

namespace snug::infer {
namespace {

constexpr int64_t kStoreGrain = 16;  // tokens to a task

}  // namespace

Activations columns(const Activations& x, int64_t first, int64_t width) {
  Activations part(x.count(), width);
  for (int64_t t = 0; t < x.count(); ++t) std::copy_n(x.at(t) + first, width, part.at(t));
  return part;
}

void store(const Batch& step, int64_t layer, const Activations& keys, const Activations& values) {
  for (const SequenceSlice& lane : step.lanes) {
    KvCache& cache = lane.memory->kv[static_cast<size_t>(layer)];
    const auto one = [&](int64_t t) {
      cache.store(lane.first_position + t, keys.row(lane.begin + t),
                  values.count() ? values.row(lane.begin + t) : std::span<const float>{});
    };
    parallel_for(lane.count, one, kStoreGrain);
  }
}

Activations rows_of(const SequenceSlice& lane, const Activations& x) {
  Activations part(lane.count, x.width());
  std::copy_n(x.at(lane.begin), part.values().size(), part.at(0));
  return part;
}

Activations attend(const Batch& step, int64_t layer, const AttendArgs& args, const Activations& queries) {
  const auto seen = [&](const SequenceSlice& lane, const Activations& q) {
    return attend(args, lane.memory->kv[static_cast<size_t>(layer)], q, lane.first_position);
  };
  if (step.lanes.size() == 1) return seen(step.lanes.front(), queries);
  Activations all(queries.count(), args.heads * args.value_dim);
  parallel_for(static_cast<int64_t>(step.lanes.size()), [&](int64_t i) {
    const SequenceSlice& lane = step.lanes[static_cast<size_t>(i)];
    std::ranges::copy(seen(lane, rows_of(lane, queries)).values(), all.at(lane.begin));
  });
  return all;
}

void apply_temperature(const Batch& step, Activations& queries, float temperature, int64_t context) {
  const std::vector<int64_t> positions = step.positions();
  for (int64_t t = 0; t < queries.count(); ++t) {
    const int64_t position = positions[static_cast<size_t>(t) % positions.size()];
    const auto rounds = static_cast<float>(position / std::max<int64_t>(1, context));
    const float by = 1.0f + temperature * std::log(rounds + 1.0f);
    for (float& q : queries.row(t)) q *= by;
  }
}

Qkv::Qkv(Loader& loader, int64_t layer, int64_t embedding, int64_t q_width, int64_t kv_width)
    : q_width_{q_width}, kv_width_{kv_width} {
  qkv_ = loader.linear_if(in_block(layer, "attn_qkv"), embedding, q_width + 2 * kv_width);
  if (qkv_) return;
  q_ = loader.linear(in_block(layer, "attn_q"), embedding, q_width);
  k_ = loader.linear(in_block(layer, "attn_k"), embedding, kv_width);
  v_ = loader.linear(in_block(layer, "attn_v"), embedding, kv_width);
}

Qkv::Projected Qkv::operator()(const Batch& step, const Activations& a) const {
  if (!qkv_) {
    std::vector<Activations> parts = apply_each(step, {&q_, &k_, &v_}, a);
    return {std::move(parts[0]), std::move(parts[1]), std::move(parts[2])};
  }
  const Activations all = apply(step, qkv_, a);
  return {columns(all, 0, q_width_), columns(all, q_width_, kv_width_),
          columns(all, q_width_ + kv_width_, kv_width_)};
}

Attention::Attention(Loader& loader, int64_t layer, const AttentionShape& shape)
    : shape_{shape}, layer_{layer} {
  const int64_t e = shape.embedding, q = shape.heads * shape.head_dim;
  qkv_ = Qkv{loader, layer, e, q, shape.kv_heads * shape.head_dim};
  out_ = loader.linear(in_block(layer, "attn_output"), q, e);
}

void Attention::load_head_norms(Loader& loader, bool required) {
  const std::string q = in_block(layer_, "attn_q_norm.weight"), k = in_block(layer_, "attn_k_norm.weight");
  q_norm_ = required ? loader.vector(q, shape_.head_dim) : loader.vector_if(q, shape_.head_dim);
  k_norm_ = required ? loader.vector(k, shape_.head_dim) : loader.vector_if(k, shape_.head_dim);
}

void Attention::load_sinks(Loader& loader) {
  sinks_ = loader.vector(in_block(layer_, "attn_sinks.weight"), shape_.heads);
}

LayerCacheShape Attention::memory() const {
  const int64_t width = shape_.kv_heads * shape_.head_dim;
  return {.key_width = width, .value_width = width, .window = shape_.window};
}

AttendArgs Attention::attend_args(Compute compute) const {
  return {.heads = shape_.heads,
          .kv_heads = shape_.kv_heads,
          .key_dim = shape_.head_dim,
          .value_dim = shape_.head_dim,
          .scale = shape_.scale_queries ? 1.0f : shape_.scale,
          .soft_cap = shape_.soft_cap,
          .window = shape_.window,
          .sinks = sinks_,
          .compute = compute};
}

/// From what was projected to what attends.
void Attention::turn(Batch& step, Activations& q, Activations& k) const {
  if (!q_norm_.empty()) rms_norm_groups(q, shape_.head_dim, q_norm_, shape_.rms_eps);
  if (!k_norm_.empty()) rms_norm_groups(k, shape_.head_dim, k_norm_, shape_.rms_eps);
  const RopeTable& table = step.table(*shape_.rope);
  rotate(*shape_.rope, table, q, shape_.heads, shape_.head_dim);
  rotate(*shape_.rope, table, k, shape_.kv_heads, shape_.head_dim);
  if (shape_.temperature != 0) apply_temperature(step, q, shape_.temperature, shape_.temperature_context);
  if (shape_.scale_queries) scale(q, shape_.scale);
}

Activations Attention::operator()(Batch& step, const Activations& a) const {
  auto [q, k, v] = qkv_(step, a);
  turn(step, q, k);
  store(step, layer_, k, v);
  return apply(step, out_, attend(step, layer_, attend_args(step.compute), q));
}

}  // namespace snug::infer

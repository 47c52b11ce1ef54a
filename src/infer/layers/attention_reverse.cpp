#include <utility>

#include "infer/layers/attention.hpp"
#include "infer/layers/ops.hpp"
#include "infer/reverse/columns.hpp"
#include "infer/reverse/ops.hpp"

namespace snug::infer {

Activations Qkv::reverse(const Reverse& reverse, const Activations& a, const Projected& g) const {
  if (qkv_) return reverse_linear(reverse, qkv_, a, side_by_side({&g.q, &g.k, &g.v}));
  Activations by = reverse_linear(reverse, q_, a, g.q);
  add(by, reverse_linear(reverse, k_, a, g.k));
  add(by, reverse_linear(reverse, v_, a, g.v));
  return by;
}

Attention::Trace Attention::retrace(Batch& step, const Activations& a) const {
  auto [q, k, v] = qkv_(step, a);
  Trace trace{q, k, {}, {}, {}};
  turn(step, q, k);
  trace.heads = ChunkAttention{attend_args(step.compute), std::move(q), std::move(k), std::move(v)};
  trace.seen = trace.heads.output();
  trace.result = apply(step, out_, trace.seen);
  return trace;
}

Activations Attention::reverse(const Reverse& reverse, const Activations& a, const Trace& trace,
                               const Activations& g) const {
  auto [q, k, v] = trace.heads.reverse(reverse_linear(reverse, out_, trace.seen, g));
  if (shape_.scale_queries) scale(q, shape_.scale);
  if (shape_.temperature != 0)
    apply_temperature(reverse.step, q, shape_.temperature, shape_.temperature_context);
  const RopeTable& table = reverse.step.table(*shape_.rope);
  reverse_rotate(*shape_.rope, table, q, shape_.heads, shape_.head_dim);
  reverse_rotate(*shape_.rope, table, k, shape_.kv_heads, shape_.head_dim);
  if (!q_norm_.empty()) q = reverse_rms_norm_groups(trace.q, shape_.head_dim, q_norm_, shape_.rms_eps, q);
  if (!k_norm_.empty()) k = reverse_rms_norm_groups(trace.k, shape_.head_dim, k_norm_, shape_.rms_eps, k);
  return qkv_.reverse(reverse, a, {std::move(q), std::move(k), std::move(v)});
}

}  // namespace snug::infer

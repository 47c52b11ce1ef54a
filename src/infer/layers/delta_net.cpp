#include "infer/layers/delta_net.hpp"

#include <algorithm>
#include <cmath>

#include "base/parallel.hpp"
#include "infer/exact/exact_kernels.hpp"
#include "infer/layers/attention.hpp"
#include "infer/layers/ops.hpp"

namespace snug::infer {
namespace {

/// x / sqrt(sum of squares + eps), as these models are trained and llama.cpp computes since August 2026; before, it was
/// x / max(sqrt(sum of squares), eps).
void l2_norm(std::span<float> x, float eps) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v * v);
  const float by = 1.0f / std::sqrt(static_cast<float>(sum) + eps);
  for (float& v : x) v *= by;
}

}  // namespace

DeltaNet::DeltaNet(Loader& loader, int64_t layer, const DeltaNetShape& shape) : shape_{shape}, layer_{layer} {
  const int64_t e = shape.embedding, hv = shape.value_heads;
  in_ = loader.linear_if(in_block(layer, "ssm_in"), e, channels() + value_width());
  if (!in_) {
    qkv_ = loader.linear(in_block(layer, "attn_qkv"), e, channels());
    z_ = loader.linear(in_block(layer, "attn_gate"), e, value_width());
  }
  beta_alpha_ = loader.linear_if(in_block(layer, "ssm_ba"), e, 2 * hv);
  if (!beta_alpha_) {
    beta_ = loader.linear(in_block(layer, "ssm_beta"), e, hv);
    alpha_ = loader.linear(in_block(layer, "ssm_alpha"), e, hv);
  }
  conv_ = loader.vector(in_block(layer, "ssm_conv1d.weight"), shape.kernel * channels());
  dt_ = loader.vector(in_block(layer, "ssm_dt.bias"), hv);
  a_ = loader.vector(in_block(layer, "ssm_a"), hv);
  norm_ = loader.vector(in_block(layer, "ssm_norm.weight"), shape.dim);
  out_ = loader.linear(in_block(layer, "ssm_out"), value_width(), e);
}

LayerCacheShape DeltaNet::memory() const {
  return {.conv_values = (shape_.kernel - 1) * channels(), .state_values = value_width() * shape_.dim};
}

DeltaNet::Inputs DeltaNet::project(const Batch& step, const Activations& a) const {
  if (!in_) return {apply(step, qkv_, a), apply(step, z_, a)};
  // Older files: one matrix, per key head [q | k | v of its value heads | z of its value heads].
  const Activations all = apply(step, in_, a);
  const int64_t d = shape_.dim, values = value_width() / shape_.key_heads, group = 2 * d + 2 * values;
  Inputs in{Activations(a.count(), channels()), Activations(a.count(), value_width())};
  for (int64_t t = 0; t < a.count(); ++t)
    for (int64_t h = 0; h < shape_.key_heads; ++h) {
      const float* from = all.at(t) + h * group;
      std::copy_n(from, d, in.qkv.at(t) + h * d);
      std::copy_n(from + d, d, in.qkv.at(t) + key_width() + h * d);
      std::copy_n(from + 2 * d, values, in.qkv.at(t) + 2 * key_width() + h * values);
      std::copy_n(from + 2 * d + values, values, in.z.at(t) + h * values);
    }
  return in;
}

DeltaNet::Gates DeltaNet::gate_inputs(const Batch& step, const Activations& a) const {
  Gates g{Activations(a.count(), shape_.value_heads), Activations(a.count(), shape_.value_heads)};
  if (beta_alpha_) {
    const Activations both = apply(step, beta_alpha_, a);
    const int64_t per_key =
        shape_.value_heads / shape_.key_heads;  // [b x per_key | alpha x per_key] per key head
    for (int64_t t = 0; t < a.count(); ++t)
      for (int64_t h = 0; h < shape_.value_heads; ++h) {
        const float* group = both.at(t) + h / per_key * 2 * per_key;
        g.beta.at(t)[h] = group[h % per_key];
        g.decay.at(t)[h] = group[per_key + h % per_key];
      }
  } else {
    g.beta = apply(step, beta_, a);
    g.decay = apply(step, alpha_, a);
  }
  return g;
}

DeltaNet::Gates DeltaNet::gates(Gates g) const {
  for (int64_t t = 0; t < g.beta.count(); ++t)
    for (int64_t h = 0; h < shape_.value_heads; ++h) {
      const auto i = static_cast<size_t>(h);
      g.beta.at(t)[h] = sigmoid(g.beta.at(t)[h]);
      g.decay.at(t)[h] = std::exp(a_[i] * softplus(g.decay.at(t)[h] + dt_[i]));
    }
  return g;
}

/// Causal convolution of every channel by itself, then SiLU. Keeps the last inputs for the next step.
void DeltaNet::convolve(const SequenceSlice& lane, const Activations& u, Activations& y) const {
  const int64_t width = channels(), before = shape_.kernel - 1;
  Activations all(before + lane.count, width);
  std::vector<float>& tail = lane.memory->states[static_cast<size_t>(layer_)].conv;
  std::ranges::copy(tail, all.at(0));
  std::copy_n(u.at(lane.begin), lane.count * width, all.at(before));
  parallel_for(
      lane.count,
      [&](int64_t t) {
        for (int64_t c = 0; c < width; ++c) {
          float sum = 0;
          for (int64_t j = 0; j < shape_.kernel; ++j)
            sum += conv_[static_cast<size_t>(c * shape_.kernel + j)] * all.at(t + j)[c];
          y.at(lane.begin + t)[c] = silu(sum);
        }
      },
      4);
  std::copy_n(all.at(lane.count), before * width, tail.begin());
}

/// S <- decay S;  S <- S + beta (v - S k) k^T;  o = S q / sqrt(dim).  state [dim values, dim keys]
void DeltaNet::run_head(const SequenceSlice& lane, const Activations& qkv, const Gates& gates, int64_t head,
                        Activations& out) const {
  const int64_t d = shape_.dim;
  float* state = lane.memory->states[static_cast<size_t>(layer_)].state.data() + head * d * d;
  const int64_t from = key_head(head);
  const ExactKernels& kernels = exact_kernels();
  const float by = 1.0f / std::sqrt(static_cast<float>(d));
  for (int64_t t = lane.begin; t < lane.begin + lane.count; ++t) {
    const float* q = qkv.at(t) + from * d;
    const float* k = qkv.at(t) + key_width() + from * d;
    const float* v = qkv.at(t) + 2 * key_width() + head * d;
    for (int64_t i = 0; i < d; ++i) {
      float* row = state + i * d;
      for (int64_t j = 0; j < d; ++j) row[j] *= gates.decay.at(t)[head];
      kernels.add_scaled(row, k, gates.beta.at(t)[head] * (v[i] - kernels.dot(row, k, d)), d);
      out.at(t)[head * d + i] = kernels.dot(row, q, d) * by;
    }
  }
}

Activations DeltaNet::operator()(Batch& step, const Activations& a) const {
  const auto [u, z] = project(step, a);
  const Gates g = gates(gate_inputs(step, a));
  Activations qkv(a.count(), channels());
  for (const SequenceSlice& lane : step.lanes) convolve(lane, u, qkv);
  const int64_t d = shape_.dim;
  parallel_for(
      qkv.count(),
      [&](int64_t t) {
        for (int64_t h = 0; h < 2 * shape_.key_heads; ++h)
          l2_norm(qkv.row(t).subspan(static_cast<size_t>(h * d), static_cast<size_t>(d)), shape_.eps);
      },
      4);
  Activations o(a.count(), value_width());
  const auto lanes = static_cast<int64_t>(step.lanes.size());
  parallel_for(lanes * shape_.value_heads, [&](int64_t i) {
    run_head(step.lanes[static_cast<size_t>(i % lanes)], qkv, g, i / lanes, o);
  });
  rms_norm_groups(o, d, norm_, shape_.eps);
  for (size_t i = 0; i < o.values().size(); ++i) o.values()[i] *= silu(z.values()[i]);
  return apply(step, out_, o);
}

}  // namespace snug::infer

#include "infer/layers/ops.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "base/half.hpp"
#include "base/parallel.hpp"
#include "infer/kernels/kernels.hpp"

namespace snug::infer {
namespace {

constexpr int64_t kGrain = 8;  // rows to a task

void norm_group(std::span<float> x, std::span<const float> weight, float eps) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v * v);
  const float mean = static_cast<float>(sum / static_cast<double>(x.size()));
  const float by = 1.0f / std::sqrt(mean + eps);
  for (size_t i = 0; i < x.size(); ++i) x[i] = weight.empty() ? x[i] * by : x[i] * by * weight[i];
}

float gelu_f32(float x) {
  return 0.5f * x * (1.0f + std::tanh(0.79788456080286535588f * x * (1.0f + 0.044715f * x * x)));
}

std::vector<float> make_gelu_table() {
  std::vector<float> table(1 << 16);
  for (uint32_t bits = 0; bits < table.size(); ++bits)
    table[bits] = from_f16(to_f16(gelu_f32(from_f16(static_cast<uint16_t>(bits)))));
  return table;
}

float oai(float gate, float up) {
  const float g = std::min(gate, 7.0f);
  const float u = std::clamp(up, -7.0f, 7.0f);
  return g / (1.0f + std::exp(1.702f * -g)) * (u + 1.0f);
}

void exponentials(std::span<float> values, float max, double extra) {
  double sum = extra;
  for (float& v : values) {
    v = std::exp(v - max);
    sum += static_cast<double>(v);
  }
  const float by = static_cast<float>(1.0 / sum);
  for (float& v : values) v *= by;
}

}  // namespace

Activations rms_norm(const Activations& x, std::span<const float> weight, float eps, Compute compute) {
  if (compute == Compute::fast && static_cast<int64_t>(weight.size()) == x.width()) {
    Activations y = Activations::unset(x.count(), x.width());
    parallel_for(
        x.count(), [&](int64_t t) { packed_kernels().norm(x.at(t), weight.data(), x.width(), eps, y.at(t)); },
        kGrain);
    return y;
  }
  Activations y = x;
  rms_norm_groups(y, x.width(), weight, eps);
  return y;
}

void rms_norm_groups(Activations& x, int64_t group, std::span<const float> weight, float eps) {
  assert(weight.empty() || static_cast<int64_t>(weight.size()) == group);
  parallel_for(
      x.count(),
      [&](int64_t t) {
        for (int64_t g = 0; g < x.width(); g += group)
          norm_group(x.row(t).subspan(static_cast<size_t>(g), static_cast<size_t>(group)), weight, eps);
      },
      kGrain);
}

void add(Activations& x, const Activations& y) {
  assert(x.values().size() == y.values().size());
  parallel_for(
      x.count(),
      [&](int64_t t) {
        float* to = x.at(t);
        const float* from = y.at(t);
        for (int64_t k = 0; k < x.width(); ++k) to[k] += from[k];
      },
      kGrain);
}

void scale(Activations& x, float by) {
  for (float& v : x.values()) v *= by;
}

void add_bias(Activations& x, std::span<const float> bias) {
  for (int64_t t = 0; t < x.count(); ++t)
    for (size_t i = 0; i < bias.size(); ++i) x.row(t)[i] += bias[i];
}

void gate_with(Activation activation, Activations& gate, const Activations& up, Compute compute) {
  assert(gate.values().size() == up.values().size());
  parallel_for(
      gate.count(),
      [&](int64_t t) {
        const std::span<float> g = gate.row(t);
        const std::span<const float> u = up.row(t);
        if (activation == Activation::silu && compute == Compute::fast)
          return packed_kernels().silu(g.data(), u.data(), gate.width());
        for (size_t i = 0; i < g.size(); ++i) {
          if (activation == Activation::silu)
            g[i] = silu(g[i]) * u[i];
          else if (activation == Activation::gelu)
            g[i] = gelu(g[i]) * u[i];
          else
            g[i] = oai(g[i], u[i]);
        }
      },
      kGrain);
}

void soft_cap(Activations& x, float cap) {
  parallel_for(
      x.count(),
      [&](int64_t t) {
        for (float& v : x.row(t)) v = cap * std::tanh(v / cap);
      },
      kGrain);
}

float silu(float x) {
  return x / (1.0f + std::exp(-x));
}
float sigmoid(float x) {
  return 1.0f / (1.0f + std::exp(-x));
}
float softplus(float x) {
  return x > 20.0f ? x : std::log(1.0f + std::exp(x));
}

float gelu(float x) {
  static const std::vector<float> table = make_gelu_table();
  if (x <= -10.0f) return 0.0f;
  if (x >= 10.0f) return x;
  return table[to_f16(x)];
}

void softmax(std::span<float> values) {
  if (values.empty()) return;
  exponentials(values, *std::ranges::max_element(values), 0);
}

void softmax_with_sink(std::span<float> values, float sink) {
  const float max = values.empty() ? sink : std::max(sink, *std::ranges::max_element(values));
  exponentials(values, max, static_cast<double>(std::exp(sink - max)));
}

}  // namespace snug::infer

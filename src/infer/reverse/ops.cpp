#include "infer/reverse/ops.hpp"

#include <algorithm>
#include <cmath>

#include "base/parallel.hpp"

namespace snug::infer {
namespace {

constexpr int64_t kGrain = 8;  // rows to a task

/// y = x s w with s = 1 / sqrt(mean(x^2) + eps):  dx = s (w g) - x s^3 mean(x w g)
void norm_group(std::span<const float> x, std::span<const float> weight, float eps, std::span<float> g) {
  const auto n = static_cast<double>(x.size());
  double squares = 0, along = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!weight.empty()) g[i] *= weight[i];
    squares += static_cast<double>(x[i]) * x[i];
    along += static_cast<double>(x[i]) * g[i];
  }
  const double s = 1 / std::sqrt(squares / n + static_cast<double>(eps));
  const double turn = along / n * s * s;
  for (size_t i = 0; i < x.size(); ++i) g[i] = static_cast<float>(s * (g[i] - turn * x[i]));
}

struct Slopes {
  float gate, up;
};

Slopes slopes(Activation activation, float gate, float up) {
  if (activation == Activation::silu) {
    const float below = 1.0f + std::exp(-gate), s = 1.0f / below;  // of sigmoid(gate) and of silu(gate)
    return {s * (1 + gate * (1 - s)) * up, gate / below};
  }
  if (activation == Activation::gelu) return {reverse_gelu(gate) * up, gelu(gate)};
  constexpr float kLimit = 7, kSteep = 1.702f;  // gpt-oss
  const float a = std::min(gate, kLimit), u = std::clamp(up, -kLimit, kLimit), s = sigmoid(kSteep * a);
  return {gate < kLimit ? (u + 1) * s * (1 + kSteep * a * (1 - s)) : 0.0f,
          std::abs(up) < kLimit ? a * s : 0.0f};
}

}  // namespace

float reverse_silu(float x) {
  const float s = sigmoid(x);
  return s * (1 + x * (1 - s));
}

float reverse_gelu(float x) {
  constexpr float kRoot = 0.79788456080286535588f, kCubic = 0.044715f;
  const float t = std::tanh(kRoot * x * (1 + kCubic * x * x));
  return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * kRoot * (1 + 3 * kCubic * x * x);
}

Activations reverse_rms_norm_groups(const Activations& x, int64_t group, std::span<const float> weight,
                                    float eps, const Activations& g) {
  Activations out = g;
  const auto size = static_cast<size_t>(group);
  parallel_for(
      g.count(),
      [&](int64_t i) {
        const std::span<const float> row = x.row(i % x.count());
        for (size_t at = 0; at < row.size(); at += size)
          norm_group(row.subspan(at, size), weight, eps, out.row(i).subspan(at, size));
      },
      kGrain);
  return out;
}

GateGradients reverse_gate(Activation activation, const Activations& gate, const Activations& up,
                           const Activations& g) {
  GateGradients out{Activations::unset(g.count(), g.width()), Activations::unset(g.count(), g.width())};
  parallel_for(
      gate.count(),
      [&](int64_t t) {
        for (int64_t k = 0; k < g.width(); ++k) {
          const Slopes by = slopes(activation, gate.at(t)[k], up.at(t)[k]);
          for (int64_t i = t; i < g.count(); i += gate.count()) {
            out.gate.at(i)[k] = g.at(i)[k] * by.gate;
            out.up.at(i)[k] = g.at(i)[k] * by.up;
          }
        }
      },
      kGrain);
  return out;
}

void reverse_soft_cap(const Activations& y, float cap, Activations& g) {
  parallel_for(
      g.count(),
      [&](int64_t i) {
        const float* to = y.at(i % y.count());
        for (int64_t k = 0; k < g.width(); ++k) g.at(i)[k] *= 1 - to[k] / cap * (to[k] / cap);
      },
      kGrain);
}

void reverse_rotate(const Rope& rope, const RopeTable& table, Activations& g, int64_t heads, int64_t head_dim,
                    int64_t offset) {
  const int64_t pairs = table.pairs, tokens = static_cast<int64_t>(table.cos.size()) / std::max<int64_t>(1, pairs);
  const int64_t apart = rope.kind == RopeKind::norm ? 1 : pairs, step = rope.kind == RopeKind::norm ? 2 : 1;
  parallel_for(
      g.count(),
      [&](int64_t row) {
        const float* cos = table.cos.data() + row % tokens * pairs;
        const float* sin = table.sin.data() + row % tokens * pairs;
        for (int64_t h = 0; h < heads; ++h) {
          float* head = g.at(row) + h * head_dim + offset;
          for (int64_t i = 0; i < pairs; ++i) {
            const float a = head[i * step], b = head[i * step + apart];
            head[i * step] = a * cos[i] + b * sin[i];
            head[i * step + apart] = b * cos[i] - a * sin[i];
          }
        }
      },
      kGrain);
}

}  // namespace snug::infer

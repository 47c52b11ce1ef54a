#pragma once

#include <span>
#include <utility>

#include "infer/layers/ops.hpp"
#include "infer/layers/rope.hpp"
#include "infer/rows.hpp"

namespace snug::infer {

// The ways back through what layers/ops.hpp and layers/rope.hpp do. Gradients g have the rows of the forward
// values several times over, draw after draw: row i belongs to token i % tokens.

/// By x, of y = rms_norm_groups(x, group, weight, eps).
Activations reverse_rms_norm_groups(const Activations& x, int64_t group, std::span<const float> weight,
                                    float eps, const Activations& g);
inline Activations reverse_rms_norm(const Activations& x, std::span<const float> weight, float eps,
                                    const Activations& g) {
  return reverse_rms_norm_groups(x, x.width(), weight, eps, g);
}

/// By gate and by up, of gate_with(activation, gate, up).
struct GateGradients {
  Activations gate, up;
};
GateGradients reverse_gate(Activation activation, const Activations& gate, const Activations& up,
                           const Activations& g);

/// In place: by x, of y = cap * tanh(x / cap).
void reverse_soft_cap(const Activations& y, float cap, Activations& g);

/// In place: by what rotate() was given.
void reverse_rotate(const Rope& rope, const RopeTable& table, Activations& g, int64_t heads, int64_t head_dim,
                    int64_t offset = 0);

float reverse_silu(float x);  // the derivative
float reverse_gelu(float x);  // of the tanh form, unrounded

}  // namespace snug::infer

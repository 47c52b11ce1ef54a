#include "infer/layers/feed_forward.hpp"

#include "infer/layers/ops.hpp"
#include "infer/reverse/columns.hpp"
#include "infer/reverse/ops.hpp"

namespace snug::infer {

namespace {

/// The shared expert's result times the sigmoid of one number for each token: the gradients by both.
struct GatedGradients {
  Activations result, gate;
};

GatedGradients reverse_token_gate(const Activations& gate, const Activations& result, const Activations& g) {
  GatedGradients by{g, Activations(g.count(), 1)};
  for (int64_t i = 0; i < g.count(); ++i) {
    const int64_t t = i % gate.count();
    const float s = sigmoid(gate.at(t)[0]);
    double along = 0;
    for (int64_t k = 0; k < g.width(); ++k) {
      along += static_cast<double>(g.at(i)[k]) * result.at(t)[k];
      by.result.at(i)[k] *= s;
    }
    by.gate.at(i)[0] = static_cast<float>(along) * s * (1 - s);
  }
  return by;
}

}  // namespace

Activations GatedFfn::reverse(const Reverse& reverse, const Activations& x, const Activations& g) const {
  const auto [gated, raised] = project(reverse.step, x);
  Activations product = gated;
  gate_with(activation, product, raised);
  const GateGradients by =
      reverse_gate(activation, gated, raised, reverse_linear(reverse, down, product, g));
  if (!gate) return reverse_linear(reverse, up, x, side_by_side({&by.gate, &by.up}));
  Activations out = reverse_linear(reverse, up, x, by.up);
  add(out, reverse_linear(reverse, gate, x, by.gate));
  return out;
}

Activations FeedForward::reverse(const Reverse& reverse, const Activations& x, const Activations& g) const {
  if (dense) return dense.reverse(reverse, x, g);
  Activations out = experts.reverse(reverse, x, g);
  if (!shared) return out;
  if (!shared_gate) {
    add(out, shared.reverse(reverse, x, g));
    return out;
  }
  const GatedGradients by =
      reverse_token_gate(apply(reverse.step, shared_gate, x), shared(reverse.step, x), g);
  add(out, shared.reverse(reverse, x, by.result));
  add(out, reverse_linear(reverse, shared_gate, x, by.gate));
  return out;
}

}  // namespace snug::infer

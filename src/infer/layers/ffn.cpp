#include "infer/layers/ffn.hpp"

#include "infer/layers/attention.hpp"

namespace snug::infer {

GatedFfn::GatedFfn(Loader& loader, int64_t layer, int64_t embedding, int64_t width, Activation act,
                   const std::string& suffix)
    : activation{act},
      gate{loader.linear(in_block(layer, "ffn_gate" + suffix), embedding, width)},
      up{loader.linear(in_block(layer, "ffn_up" + suffix), embedding, width)},
      down{loader.linear(in_block(layer, "ffn_down" + suffix), width, embedding)} {
  gate.scales_bias = up.scales_bias = down.scales_bias = true;  // as the reference has it, here alone
}

GatedFfn::Halves GatedFfn::project(const Batch& step, const Activations& x) const {
  if (gate) {
    std::vector<Activations> both = apply_each(step, {&up, &gate}, x);
    return {std::move(both[1]), std::move(both[0])};
  }
  const Activations both = apply(step, up, x);
  const int64_t width = both.width() / 2;
  return {columns(both, 0, width), columns(both, width, width)};
}

Activations GatedFfn::operator()(const Batch& step, const Activations& x) const {
  auto [gated, raised] = project(step, x);
  gate_with(activation, gated, raised, step.compute);
  return apply(step, down, gated);
}

}  // namespace snug::infer

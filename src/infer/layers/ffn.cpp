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

Rows GatedFfn::operator()(const Step& step, const Rows& x) const {
  Rows gated, raised;
  if (gate) {
    std::vector<Rows> both = apply_each(step, {&up, &gate}, x);
    raised = std::move(both[0]);
    gated = std::move(both[1]);
  } else {
    raised = apply(step, up, x);
    const int64_t width = raised.width() / 2;
    gated = columns(raised, 0, width);
    raised = columns(raised, width, width);
  }
  gate_with(activation, gated, raised, step.compute);
  return apply(step, down, gated);
}

}  // namespace snug::infer

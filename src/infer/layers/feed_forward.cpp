#include "infer/layers/feed_forward.hpp"

#include "infer/layers/ops.hpp"

namespace snug::infer {

Activations FeedForward::operator()(const Batch& step, const Activations& x) const {
  if (dense) return dense(step, x);
  Activations y = experts(step, x);
  if (!shared) return y;
  Activations common = shared(step, x);
  if (shared_gate) {
    const Activations gate = apply(step, shared_gate, x);
    for (int64_t t = 0; t < common.count(); ++t)
      for (float& v : common.row(t)) v *= sigmoid(gate.at(t)[0]);
  }
  add(y, common);
  return y;
}

Experts load_experts(Loader& loader, int64_t layer, int64_t embedding, int64_t width, const Routing& routing,
                     Activation activation) {
  Linear router = loader.linear(in_block(layer, "ffn_gate_inp"), embedding, routing.experts);
  return {loader, layer, embedding, width, routing, activation, std::move(router)};
}

void load_shared_expert(FeedForward& ffn, Loader& loader, int64_t layer, int64_t embedding, int64_t width,
                        bool gated) {
  if (gated) ffn.shared_gate = loader.linear(in_block(layer, "ffn_gate_inp_shexp"), embedding, 1);
  ffn.shared = GatedFfn{loader, layer, embedding, width, Activation::silu, "_shexp"};
}

}  // namespace snug::infer

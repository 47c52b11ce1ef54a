#pragma once

#include <cstdint>

#include "infer/layers/experts.hpp"
#include "infer/layers/ffn.hpp"

namespace snug::infer {

/// The second half of a block: a dense network, or routed experts with or without an expert shared by all
/// tokens.
struct FeedForward {
  GatedFfn dense;  // if not empty, the rest is
  Experts experts;
  GatedFfn shared;     // ffn_*_shexp, or empty
  Linear shared_gate;  // ffn_gate_inp_shexp: its sigmoid scales the shared expert; or empty

  Activations operator()(const Batch& step, const Activations& x) const;
  /// By x, from g [draws * tokens, embedding] by the result.
  Activations reverse(const Reverse& reverse, const Activations& x, const Activations& g) const;
};

/// Loads ffn_gate_inp [embedding, experts] and the experts; `activation` SiLU unless said.
Experts load_experts(Loader& loader, int64_t layer, int64_t embedding, int64_t width, const Routing& routing,
                     Activation activation = Activation::silu);

/// Shared expert of that width; with ffn_gate_inp_shexp if `gated`.
void load_shared_expert(FeedForward& ffn, Loader& loader, int64_t layer, int64_t embedding, int64_t width,
                        bool gated);

}  // namespace snug::infer

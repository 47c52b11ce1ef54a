#pragma once

#include <cstdint>
#include <vector>

#include "infer/hparams.hpp"
#include "infer/layers/ops.hpp"
#include "infer/loader.hpp"
#include "infer/reverse/reverse.hpp"
#include "infer/step.hpp"

namespace snug::infer {

/// How a router's logits become chosen experts and their weights (§1.6 of the reference).
struct Routing {
  enum class Gating { softmax = 1, sigmoid = 2, softmax_of_chosen = 3, root_of_softplus = 4 };

  Gating gating = Gating::softmax;
  int64_t experts = 0, used = 0;
  int64_t groups = 0, groups_used = 0;
  bool normalise = false;
  float scale = 0;                 // 0 and 1: none
  std::vector<float> selection{};  // [experts] added to the probabilities for choosing only, or empty
};

/// Weights that add up to less are divided by this: 2^-14, the smallest normal f16.
inline constexpr float kSmallestSumOfWeights = 6.103515625e-5f;

struct Choice {
  int64_t expert = 0;
  float weight = 0;
};

/// The choices for one token's logits [experts], best first.
std::vector<Choice> route(const Routing& routing, std::span<const float> logits);

/// By the logits, from the gradients `g` [used] by the choices' weights; the choices stay as they are.
std::vector<float> reverse_route(const Routing& routing, std::span<const float> logits,
                                 std::span<const Choice> choices, std::span<const float> g);

/// A mixture of gated feed-forward networks. Tokens are grouped by expert; results are added in order of
/// choice.
class Experts {
 public:
  Experts() = default;
  /// Tensors ffn_{gate,up,down}_exps of the block (or the fused ffn_gate_up_exps), experts of width `width`.
  Experts(Loader& loader, int64_t layer, int64_t embedding, int64_t width, Routing routing,
          Activation activation, Linear router);

  explicit operator bool() const { return static_cast<bool>(down_); }
  /// Routed by the router of the same input.
  Activations operator()(const Batch& step, const Activations& x) const {
    return mix(step, apply(step, router_, x), x);
  }
  /// Routed by these logits [tokens, experts].
  Activations mix(const Batch& step, const Activations& logits, const Activations& x) const;
  const Linear& router() const { return router_; }

  /// By x, from g [draws * tokens, embedding] by the result; which experts are chosen stays as it is.
  Activations reverse(const Reverse& reverse, const Activations& x, const Activations& g) const;
  /// The same of mix(): by logits and by x.
  struct Gradients {
    Activations logits, x;
  };
  Gradients reverse_mix(const Reverse& reverse, const Activations& logits, const Activations& x,
                        const Activations& g) const;

 private:
  struct Halves {
    Activations gate, up;
  };
  Halves project(const Batch& step, int64_t expert, const Activations& x) const;
  Activations run(const Batch& step, int64_t expert, const Activations& x) const;
  class Way;  // one expert's way back

  Routing routing_;
  Activation activation_ = Activation::silu;
  Linear router_, gate_, up_, gate_up_, down_;
};

/// Reads expert_gating_func and its companions; `fallback` where the file does not say.
Routing make_routing(const ArchMetadata& keys, const Hparams& hp, Routing::Gating fallback);

}  // namespace snug::infer

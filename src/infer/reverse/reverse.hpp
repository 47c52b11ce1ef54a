#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "infer/rows.hpp"
#include "infer/step.hpp"
#include "infer/weight.hpp"

namespace snug::infer {

/// Calls out of a reverse pass, from the thread that runs it. Gradients of several losses (draws of labels) go
/// together: [draws * tokens, width], one draw's tokens after the other's.
struct ReverseHooks {
  /// Every matrix product W x: inputs [tokens, weight.cols] and the gradients [draws * tokens, weight.rows] of
  /// its results, so that a draw's gradient of W is  sum over tokens of gradient * input^T.  `matrix` is the
  /// expert or head of a 3-D weight, with the tokens routed to it alone. A weight that is used more than once
  /// in a pass is shown each time, and its gradients add up.
  std::function<void(const Weight& weight, int64_t matrix, const Activations& inputs, const Activations& gradients)>
      on_linear;
  /// Every table of rows looked up by the tokens of the pass: gradients [draws * tokens, weight.cols].
  std::function<void(const Weight& table, const Activations& gradients)> on_look_up;
};

/// One sequence from its first token on, going back through a model. Blocks compute again what they need of
/// the forward pass.
struct Reverse {
  Batch& step;
  const ReverseHooks& hooks;
  int64_t draws = 1;

  /// The residual stream before a block that lends() its keys and values to later ones.
  std::function<const Activations&(int layer)> lender{};

  /// Keys and values that a block lends, and the gradients by them of those that borrowed, added up on the way.
  struct Lent {
    Activations keys, values, by_keys, by_values;
  };
  std::map<int, Lent> lent{};
  Activations by_extra{};  // by Step::extra, the same
};

/// d of y = scale * (W x) + bias by x, from `g` by y. Shows the product to on_linear.
Activations reverse_linear(const Reverse& reverse, const Linear& linear, const Activations& x, const Activations& g,
                    int64_t matrix = 0);

/// [tokens, w.rows] -> [tokens, w.cols]: g W, each sum in the order of rows whatever the number of threads.
Activations matmul_transposed(const Weight& w, int64_t matrix, const Activations& g);

}  // namespace snug::infer

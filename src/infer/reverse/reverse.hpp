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
  std::function<void(const Weight& weight, int64_t matrix, const Rows& inputs, const Rows& gradients)>
      on_linear;
  /// Every table of rows looked up by the tokens of the pass: gradients [draws * tokens, weight.cols].
  std::function<void(const Weight& table, const Rows& gradients)> on_look_up;
};

/// One sequence from its first token on, going back through a model. Blocks compute again what they need of
/// the forward pass.
struct Reverse {
  Step& step;
  const ReverseHooks& hooks;
  int64_t draws = 1;

  /// Gradients of what one block leaves for others, added up on the way: keys and values by the block that
  /// stored them, and Step::extra.
  struct Shared {
    Rows keys, values;
  };
  std::map<int, Shared> shared{};
  Rows extra{};
};

/// d of y = scale * (W x) + bias by x, from `g` by y. Shows the product to on_linear.
Rows reverse_linear(const Reverse& reverse, const Linear& linear, const Rows& x, const Rows& g,
                    int64_t matrix = 0);

/// [tokens, w.rows] -> [tokens, w.cols]: g W, each sum in the order of rows whatever the number of threads.
Rows matmul_transposed(const Weight& w, int64_t matrix, const Rows& g);

}  // namespace snug::infer

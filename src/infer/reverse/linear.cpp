#include <algorithm>

#include "base/aligned.hpp"
#include "base/parallel.hpp"
#include "infer/exact/exact_kernels.hpp"
#include "infer/layers/ops.hpp"
#include "infer/matmul.hpp"
#include "infer/reverse/reverse.hpp"

namespace snug::infer {
namespace {

constexpr int64_t kDepth = 128;    // rows decoded at a time
constexpr int64_t kTokens = 64;    // to a task
constexpr int64_t kDecodeRows = 8;

}  // namespace

Activations matmul_transposed(const Weight& w, int64_t matrix, const Activations& g) {
  Activations x(g.count(), w.cols);
  FloatRow rows(static_cast<size_t>(std::min(kDepth, w.rows) * w.cols));
  for (int64_t first = 0; first < w.rows; first += kDepth) {
    const int64_t depth = std::min(kDepth, w.rows - first);
    parallel_for(
        depth,
        [&](int64_t r) {
          decode_row(w, matrix, first + r, {rows.data() + r * w.cols, static_cast<size_t>(w.cols)});
        },
        kDecodeRows);
    parallel_ranges(g.count(), kTokens, [&](int64_t begin, int64_t end) {
      exact_kernels().accumulate(g.at(begin) + first, end - begin, g.width(), rows.data(), depth, w.cols, w.cols,
                                 x.at(begin), w.cols);
    });
  }
  return x;
}

Activations reverse_linear(const Reverse& reverse, const Linear& linear, const Activations& x, const Activations& g,
                    int64_t matrix) {
  const Weight& weight = reverse.step.current(*linear.weight);
  Activations scaled;
  const Activations* of_product = &g;
  if (!linear.scale.empty()) {
    scaled = g;
    scale(scaled, linear.scale[linear.scale.size() == 1 ? 0 : static_cast<size_t>(matrix)]);
    of_product = &scaled;
  }
  if (reverse.hooks.on_linear) reverse.hooks.on_linear(*linear.weight, matrix, x, *of_product);
  return matmul_transposed(weight, matrix, *of_product);
}

}  // namespace snug::infer

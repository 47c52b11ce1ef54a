#include "infer/step.hpp"

#include "base/parallel.hpp"
#include "infer/matmul.hpp"
#include "infer/ops.hpp"

namespace snug::infer {

std::vector<int64_t> Step::positions() const {
  std::vector<int64_t> all;
  for (const Lane& lane : lanes)
    for (int64_t t = 0; t < lane.count; ++t) all.push_back(lane.first_position + t);
  return all;
}

const RopeTable& Step::table(const Rope& rope) {
  const auto [at, fresh] = rope_tables.try_emplace(&rope);
  if (fresh) at->second = rope_table(rope, positions(), context);
  return at->second;
}

const Weight& Step::current(const Weight& weight) const {
  if (replaced.empty()) return weight;
  const auto found = replaced.find(&weight);
  return found == replaced.end() ? weight : found->second;
}

Rows apply(const Step& step, const Linear& linear, const Rows& x, int64_t matrix) {
  if (step.hooks.on_linear) step.hooks.on_linear(*linear.weight, matrix, x.view());
  Rows y = matmul(step.current(*linear.weight), matrix, x, step.compute);
  const auto multiply = [&] {
    if (!linear.scale.empty())
      scale(y, linear.scale[linear.scale.size() == 1 ? 0 : static_cast<size_t>(matrix)]);
  };
  if (!linear.scales_bias) multiply();
  if (!linear.bias.empty())
    add_bias(y, std::span{linear.bias}.subspan(static_cast<size_t>(matrix * linear.weight->rows),
                                               static_cast<size_t>(linear.weight->rows)));
  if (linear.scales_bias) multiply();
  return y;
}

Rows look_up(const Step& step, const Weight& table) {
  const Weight& weight = step.current(table);
  Rows rows(step.count(), weight.cols);
  parallel_for(
      step.count(),
      [&](int64_t t) { decode_row(weight, 0, step.tokens[static_cast<size_t>(t)], rows.row(t)); }, 8);
  return rows;
}

}  // namespace snug::infer

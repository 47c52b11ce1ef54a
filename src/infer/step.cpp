#include "infer/step.hpp"

#include "base/parallel.hpp"
#include "infer/layers/ops.hpp"
#include "infer/matmul.hpp"

namespace snug::infer {

std::vector<int64_t> Batch::positions() const {
  std::vector<int64_t> all;
  for (const SequenceSlice& lane : lanes)
    for (int64_t t = 0; t < lane.count; ++t) all.push_back(lane.first_position + t);
  return all;
}

const RopeTable& Batch::table(const Rope& rope) {
  const auto [at, fresh] = rope_tables.try_emplace(&rope);
  if (fresh) at->second = rope_table(rope, positions(), context);
  return at->second;
}

const Weight& Batch::current(const Weight& weight) const {
  if (replaced.empty()) return weight;
  const auto found = replaced.find(&weight);
  return found == replaced.end() ? weight : found->second;
}

namespace {

void finish(const Linear& linear, int64_t matrix, Activations& y) {
  const auto multiply = [&] {
    if (!linear.scale.empty())
      scale(y, linear.scale[linear.scale.size() == 1 ? 0 : static_cast<size_t>(matrix)]);
  };
  if (!linear.scales_bias) multiply();
  if (!linear.bias.empty())
    add_bias(y, std::span{linear.bias}.subspan(static_cast<size_t>(matrix * linear.weight->rows),
                                               static_cast<size_t>(linear.weight->rows)));
  if (linear.scales_bias) multiply();
}

}  // namespace

std::vector<Activations> apply_each(const Batch& step, std::initializer_list<const Linear*> linears,
                                    const Activations& x, int64_t matrix) {
  std::vector<WeightSlice> factors;
  for (const Linear* linear : linears) {
    if (step.hooks.on_linear) step.hooks.on_linear(*linear->weight, matrix, x.view());
    factors.push_back({&step.current(*linear->weight), matrix});
  }
  std::vector<Activations> results = matmul_each(factors, x, step.compute);
  for (size_t i = 0; i < results.size(); ++i) finish(*linears.begin()[i], matrix, results[i]);
  return results;
}

Activations apply(const Batch& step, const Linear& linear, const Activations& x, int64_t matrix) {
  return std::move(apply_each(step, {&linear}, x, matrix)[0]);
}

Activations look_up(const Batch& step, const Weight& table) {
  const Weight& weight = step.current(table);
  Activations rows(step.count(), weight.cols);
  parallel_for(
      step.count(),
      [&](int64_t t) { decode_row(weight, 0, step.tokens[static_cast<size_t>(t)], rows.row(t)); }, 8);
  return rows;
}

}  // namespace snug::infer

#include "calibrate/pass_sums.hpp"

#include <algorithm>

namespace snug {

void PassSums::add(const infer::Weight& weight, int64_t matrix, Matrix<const float> inputs) {
  if (columns_)
    columns_->try_emplace(weight.name, weight.cols, weight.matrices).first->second.add(weight.name, matrix, inputs);
  moments_.add(weight.name, matrix, inputs);
  if (!sensitivity_.empty()) add_row_moments(inputs);
}

/// Of the head's inputs, which follow the logits of the whole chunk.
void PassSums::add_row_moments(Matrix<const float> inputs) {
  const int64_t groups = collected_.groups.count;
  infer::Activations all(inputs.rows, groups);
  int64_t row = 0;
  for (const infer::Activations& part : sensitivity_) {
    std::ranges::copy(part.values(), all.at(row));
    row += part.count();
  }
  sensitivity_.clear();
  for (int64_t g = 0; g < groups; ++g) {
    if (!moments_.wants(collected_.rows_input, g)) continue;
    const infer::Activations weighted = weighted_inputs(inputs, all, g);
    if (weighted.count() > 0) moments_.add(collected_.rows_input, g, weighted.view());
  }
}

}  // namespace snug

#include "measure/row_divergence.hpp"

#include <cmath>
#include <limits>

#include "base/parallel.hpp"
#include "snug/error.hpp"

namespace snug {

void compare_rows(const infer::Model& model, Matrix<const float> original, std::span<const double> log_sums,
                  const infer::Activations& logits, std::span<const int32_t> next, std::span<infer::TokenPair> pairs) {
  constexpr double kAll = -std::numeric_limits<double>::infinity();  // the floor below which nothing counts
  parallel_for(logits.count(), [&](int64_t r) {
    const std::span<const float> row = original.row(r);
    const double log_sum = log_sums.empty() ? infer::log_sum_exp(row) : log_sums[static_cast<size_t>(r)];
    const infer::BaseRow base{row, log_sum, kAll};
    if (!std::isfinite(base.log_sum))
      throw Error{"what the original predicts is no number", model.source().path().string(),
                  "weights or metadata of the model are damaged: copy or convert it again"};
    const auto i = static_cast<size_t>(r);
    pairs[i] = infer::compare(base, logits.row(r), i < next.size() ? next[i] : 0);
  });
}

}  // namespace snug

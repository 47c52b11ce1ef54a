#include "encode/encode_tensor.hpp"

#include <algorithm>

#include "base/aligned.hpp"
#include "base/parallel.hpp"
#include "quant/feedback/second_order.hpp"
#include "snug/quantize.hpp"

namespace snug {
namespace {

constexpr int64_t kRows = 32;  // to a task

/// One tensor on its way, row by row, and what it costs.
class TensorEncoder {
 public:
  TensorEncoder(const Tensor& tensor, const Format& format, const TensorImportance* importance, Effort effort,
                std::span<const std::byte> plain)
      : tensor_(tensor),
        format_(format),
        importance_(importance),
        effort_(effort),
        plain_(plain),
        data_(static_cast<size_t>(tensor.rows() * row_bytes())),
        errors_(static_cast<size_t>(tensor.rows())),
        energies_(errors_.size()) {}

  /// Rows of one matrix.
  void encode(std::span<const int64_t> rows, const HessianFactor* curvature) {
    const int64_t cols = tensor_.cols(), count = static_cast<int64_t>(rows.size());
    std::vector<float> values(static_cast<size_t>(count * cols));
    const Matrix<const float> weights{values.data(), count, cols};
    for (int64_t i = 0; i < count; ++i)
      tensor_.read_row(rows[static_cast<size_t>(i)], {values.data() + i * cols, static_cast<size_t>(cols)});
    const ColumnWeights columns = columns_of(importance_, tensor_, rows.front());
    std::vector<std::byte> blocks(static_cast<size_t>(count * row_bytes()));
    for (int64_t i = 0; !plain_.empty() && i < count; ++i)
      std::copy_n(plain_.data() + rows[static_cast<size_t>(i)] * row_bytes(), row_bytes(),
                  blocks.data() + i * row_bytes());
    encode_rows(format_, weights, columns, curvature, effort_, blocks, !plain_.empty());
    const double share = token_share_of(importance_, tensor_, rows.front());
    FloatRow decoded(static_cast<size_t>(cols));
    const std::vector<float> zero(decoded.size());
    for (int64_t i = 0; i < count; ++i) {
      const auto r = static_cast<size_t>(rows[static_cast<size_t>(i)]);
      const std::byte* row = blocks.data() + i * row_bytes();
      std::copy_n(row, row_bytes(), data_.data() + static_cast<int64_t>(r) * row_bytes());
      format_.decode(row, decoded);
      errors_[r] = share * weighted_error(weights.row(i), decoded, columns);
      energies_[r] = share * weighted_error(zero, weights.row(i), columns);
    }
  }

  Encoded finish() {
    double error = 0, energy = 0;
    for (size_t r = 0; r < errors_.size(); ++r) {  // in order: the same sums on any threads
      error += errors_[r];
      energy += energies_[r];
    }
    return {tensor_.name, &format_, std::move(data_), energy > 0 ? error / energy : 0};
  }

 private:
  int64_t row_bytes() const { return format_.row_bytes(tensor_.cols()); }

  const Tensor& tensor_;
  const Format& format_;
  const TensorImportance* importance_;
  const Effort effort_;
  const std::span<const std::byte> plain_;
  std::vector<std::byte> data_;
  std::vector<double> errors_, energies_;
};

}  // namespace

void encode_rows(const Format& format, Matrix<const float> weights, const ColumnWeights& columns,
                 const HessianFactor* curvature, Effort effort, std::span<std::byte> blocks, bool are_plain) {
  if (curvature && has_second_order(format))
    encode_second_order(format, weights, columns, *curvature, effort, blocks, are_plain);
  else if (!are_plain)
    quantize(format, weights, columns, effort, blocks);
}

Encoded encode_tensor(const Tensor& tensor, const Format& format, const TensorImportance* importance,
                      Effort effort, HessianFactors* curvatures, std::span<const std::byte> plain) {
  TensorEncoder encoder{tensor, format, importance, effort, plain};
  const bool curved = curvatures && has_second_order(format);
  for (const std::vector<int64_t>& rows : curved ? curvatures->row_sets(tensor) : matrix_rows(tensor)) {
    const auto curvature = curved ? curvatures->find_row(tensor, rows.front()) : nullptr;
    parallel_ranges(static_cast<int64_t>(rows.size()), kRows, [&](int64_t begin, int64_t end) {
      encoder.encode(std::span{rows}.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
                     curvature.get());
    });
  }
  return encoder.finish();
}

}  // namespace snug

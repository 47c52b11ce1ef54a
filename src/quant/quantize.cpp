#include "snug/quantize.hpp"

#include <cmath>

#include "base/str.hpp"
#include "quant/kernels/kernels.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

void check_shape(const Format& format, int64_t rows, int64_t cols, size_t block_bytes) {
  if (rows < 0 || !format.fits(cols))
    throw Error{str("a row of ", cols, " weights does not fit format ", format.name),
                {},
                str("row lengths must be multiples of ", format.block_weights)};
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(rows, format.row_bytes(cols), &bytes) || bytes != block_bytes)
    throw Error{str(rows, " x ", cols, " weights in ", format.name, " do not take ", block_bytes, " bytes"),
                {},
                "pass rows * format.row_bytes(cols) bytes"};
}

void check_columns(std::span<const float> columns, int64_t cols, const char* what, bool may_be_negative) {
  if (columns.empty()) return;
  if (static_cast<int64_t>(columns.size()) != cols)
    throw Error{str("importance has ", columns.size(), " columns, the matrix ", cols), what,
                "use the imatrix that was made for this model"};
  for (size_t j = 0; j < columns.size(); ++j)
    if (!std::isfinite(columns[j]) || (!may_be_negative && columns[j] < 0))
      throw Error{str("importance of column ", j, " is ", columns[j]), what, "compute the imatrix again"};
}

void check_finite(std::span<const float> row, int64_t r) {
  if (kernels().row.finite(row.data(), static_cast<int64_t>(row.size()))) return;
  for (size_t j = 0; j < row.size(); ++j)
    if (!std::isfinite(row[j]))
      throw Error{str("weight is ", row[j]), str("row ", r, ", column ", j),
                  "the source model is damaged: convert or download it again"};
}

}  // namespace

void quantize(const Format& format, Matrix<const float> weights, const ColumnWeights& columns, Effort effort,
              std::span<std::byte> blocks) {
  check_shape(format, weights.rows, weights.cols, blocks.size());
  check_columns(columns.mean_square, weights.cols, "mean square", false);
  check_columns(columns.mean, weights.cols, "mean", true);
  for (int64_t r = 0; r < weights.rows; ++r) {
    check_finite(weights.row(r), r);
    format.encode(weights.row(r), columns, effort, blocks.data() + r * format.row_bytes(weights.cols));
  }
}

void dequantize(const Format& format, std::span<const std::byte> blocks, Matrix<float> weights) {
  check_shape(format, weights.rows, weights.cols, blocks.size());
  for (int64_t r = 0; r < weights.rows; ++r)
    format.decode(blocks.data() + r * format.row_bytes(weights.cols), weights.row(r));
}

namespace {

/// Four sums side by side, so that an addition need not wait for the one before.
struct Lanes {
  double at[4] = {};
  double sum() const { return (at[0] + at[2]) + (at[1] + at[3]); }
};

}  // namespace

double weighted_error(std::span<const float> original, std::span<const float> decoded,
                      const ColumnWeights& columns) {
  Lanes diagonal, along_mean, along_row, row_square;
  const auto add = [&](size_t j, size_t k) {
    const double w = original[j], d = static_cast<double>(decoded[j]) - w;
    const double m = columns.mean.empty() ? 0 : columns.mean[j];
    const double v = columns.mean_square.empty() ? 1 : columns.mean_square[j];
    const double u = v - m * m;
    diagonal.at[k] += u * d * d;
    along_mean.at[k] += m * d;
    along_row.at[k] += u * w * d;
    row_square.at[k] += u * w * w;
  };
  size_t j = 0;
  for (; j + 4 <= original.size(); j += 4)
    for (size_t k = 0; k < 4; ++k) add(j + k, k);
  for (; j < original.size(); ++j) add(j, j % 4);
  const double m = along_mean.sum(), r = along_row.sum(), square = row_square.sum();
  return diagonal.sum() + m * m + (square > 0 ? (columns.along_row - 1) * r * r / square : 0);
}

}  // namespace snug

#include "calibrate/column_sums.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "base/parallel.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr int64_t kColumns = 128;  // of a task

[[noreturn]] void refuse(const std::string& tensor, int64_t mat, int64_t mats, Matrix<const float> rows,
                         int64_t col) {
  int64_t t = 0;  // the first value that is not finite, or else (squares overflow) the first token
  while (t < rows.rows && std::isfinite(rows.data[t * rows.cols + col])) ++t;
  if (t == rows.rows) t = 0;
  throw Error{str("the input of '", tensor, "' is ", rows.data[t * rows.cols + col], " at token ", t,
                  " of the chunk, column ", col, mats > 1 ? str(" of matrix ", mat) : ""),
              "",
              "weights or metadata of the model are damaged, or it was not meant for this text: try "
              "`snug run` on it"};
}

std::vector<float> to_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

}  // namespace

ColumnSums::ColumnSums(int64_t columns, int64_t matrices)
    : cols(columns),
      mats(matrices),
      squares(static_cast<size_t>(columns * matrices)),
      sums(squares.size()),
      counts(static_cast<size_t>(matrices)) {}

void ColumnSums::add(const std::string& tensor, int64_t mat, Matrix<const float> rows) {
  double* square = squares.data() + mat * cols;
  double* sum = sums.data() + mat * cols;
  parallel_ranges(cols, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < rows.rows; ++t) {
      const float* x = rows.data + t * cols;
      for (int64_t j = begin; j < end; ++j) {
        square[j] += static_cast<double>(x[j]) * x[j];
        sum[j] += x[j];
      }
    }
    for (int64_t j = begin; j < end; ++j)
      if (!(square[j] <= std::numeric_limits<float>::max())) refuse(tensor, mat, mats, rows, j);
  });
  counts[static_cast<size_t>(mat)] += rows.rows;
}

bool ColumnSums::is_sound() const {
  int64_t values = 0;
  if (cols < 1 || mats < 1 || __builtin_mul_overflow(cols, mats, &values)) return false;
  const auto is_square = [](double s) { return s >= 0 && s <= std::numeric_limits<float>::max(); };
  return std::ssize(squares) == values && std::ssize(sums) == values && std::ssize(counts) == mats &&
         std::ranges::all_of(squares, is_square) &&
         std::ranges::all_of(sums, [](double s) { return std::isfinite(s); }) &&
         std::ranges::all_of(counts, [](int64_t n) { return n >= 0; });
}

ImatrixSums ColumnSums::rounded() const {
  return {cols, mats, to_floats(squares), to_floats(sums), {counts.begin(), counts.end()}};
}

}  // namespace snug

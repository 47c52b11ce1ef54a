#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "imatrix/imatrix_file.hpp"
#include "snug/matrix.hpp"

namespace snug {

/// Sums over token rows of the inputs of one tensor, [mats, cols].
struct ColumnSums {
  int64_t cols = 0, mats = 1;
  std::vector<double> squares, sums;
  std::vector<int64_t> counts;  // [mats]

  ColumnSums() = default;
  ColumnSums(int64_t columns, int64_t matrices);
  /// rows [tokens, cols] that reach matrix `mat`. Each column is summed in the order of the rows, on any
  /// number of threads. Throws Error naming `tensor`, token and column where a value is not finite, or its
  /// square is not.
  void add(const std::string& tensor, int64_t mat, Matrix<const float> rows);
  ImatrixSums rounded() const;
  /// Whether the arrays are as long as they must be and no sum is out of range: of sums out of a file.
  bool is_sound() const;
};

using ColumnSumsByTensor = std::map<std::string, ColumnSums, std::less<>>;

}  // namespace snug

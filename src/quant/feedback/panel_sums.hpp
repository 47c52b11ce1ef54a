#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/kernels/kernels.hpp"

namespace snug {

/// What is to be added to one vector: y += sum_i scale[i] x[row[i]], in that order, every product rounded and
/// then added.
struct PanelSum {
  float* y = nullptr;            // of the columns the rows x have
  std::span<const int32_t> row;  // of x, in [0, rows), ascending
  std::span<const float> scale;  // as many
};

/// Adds multiples of the rows of a matrix to many vectors at once: the matrix is read once for all of them,
/// in pieces that stay in the first cache, and the sums stay in registers. The same bits as AddScaled one row
/// after the other.
class PanelSums {
 public:
  /// x [rows, ...] with `stride` floats from row to row; columns [from, to) of x and of every y.
  void add(const float* x, int64_t stride, int64_t rows, int64_t from, int64_t to,
           std::span<const PanelSum> sums);

 private:
  void add_panel(const float* x, int64_t stride, int64_t first, int64_t rows, int64_t from, int64_t to,
                 std::span<const PanelSum> sums);

  const AddPanel add_panel_ = kernels().add_panel;
  std::vector<float> panel_;    // [rows, kPanelColumns] a copy: rows of x lie too far apart for a cache
  std::vector<size_t> begins_;  // where in each sum the panel's rows begin and end
  std::vector<size_t> ends_;
};

}  // namespace snug

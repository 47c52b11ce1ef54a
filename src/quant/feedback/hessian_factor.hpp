#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "snug/matrix.hpp"

namespace snug {

/// The second moment H = E[x x^T] of a tensor's input, made ready for encoders: a row with differences d
/// changes the output by d^T H d, mean square.
///
/// Columns come in spans of at most kSpan; of each span's block of H there are the factors R D R^T, R unit
/// upper triangular. Read from the left that is  sum_k D_k (d_k + sum_{j<k} R_jk d_j)^2:  once columns before
/// k are rounded, the best value of column k is its weight less sum_{j<k} R_jk d_j, whatever follows.
struct HessianFactor {
  static constexpr int64_t kSpan =
      4096;  // a multiple of every block; the cost of factoring grows with its square

  int64_t cols = 0;
  std::vector<float> moment;  // [cols, cols] H, damped
  std::vector<float>
      feedback;  // [cols, span()] R; row j has the columns of j's span; below the diagonal anything
  std::vector<float> weight;  // [cols] D > 0

  int64_t span() const { return cols < kSpan ? cols : kSpan; }
  int64_t span_end(int64_t j) const {
    return j / kSpan * kSpan + kSpan < cols ? j / kSpan * kSpan + kSpan : cols;
  }
  const float* moment_row(int64_t j) const { return moment.data() + j * cols; }
  float factor(int64_t j, int64_t k) const { return feedback[static_cast<size_t>(j * span() + k % kSpan)]; }
  /// R_jk for k = j + 1 .. span_end(j) - 1
  const float* factors_after(int64_t j) const { return feedback.data() + j * span() + j % kSpan + 1; }
};

/// Damps and factors. `shrink` (0 to 1) is how far H is drawn towards its diagonal; 1 leaves only that. It is
/// drawn further where factors would not exist otherwise, and columns without activations get next to no
/// weight. On all threads; the same result on any number and any instruction set. O(cols^2 (span + 1)).
/// Throws Error where a number is not finite, H is not symmetric or its diagonal is negative.
HessianFactor make_curvature(Matrix<const float> second_moment, double shrink);

/// d^T H d + (along_row - 1) (w^T H d)^2 / (w^T H w) of a row w and what it decodes to; in double, in a fixed
/// order. O(cols^2).
double curved_error(std::span<const float> original, std::span<const float> decoded,
                    const HessianFactor& curvature, float along_row);

}  // namespace snug

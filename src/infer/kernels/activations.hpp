#pragma once

#include <vector>

#include "infer/aligned.hpp"
#include "infer/kernels/kernels.hpp"
#include "infer/rows.hpp"

namespace snug::infer {

/// The activations of a matrix product, rounded once for all rows of the matrix.
class QuantizedActivations {
 public:
  enum class Use { dots, product };

  /// x.width() must be a multiple of the rounding's block. For format.dots (row()) or format.product
  /// (tiles()), one of `kernels`. Several threads take part.
  QuantizedActivations(const MatmulKernels& kernels, const PackedFormat& format, const Activations& x, Use use);

  const RoundedRow& row(int64_t token) const { return rows_[static_cast<size_t>(token)]; }
  const TokenTiles& tiles() const { return tiles_; }

 private:
  /// Arrays for `rows` rows in the layout of a row; views into them, row by row, go to rows_.
  void allocate(Rounding rounding, int64_t rows, int64_t cols);
  void round_all(const MatmulKernels& kernels, const PackedFormat& format, const Activations& x);
  void allocate_tiles(const PackedFormat& format, int64_t cols);

  AlignedVector<int8_t> q_, tile_bytes_;
  AlignedVector<float> d_, s_, x_, tile_d_, tile_s_, tile_x_;
  AlignedVector<int16_t> sums_, tile_q_, tile_sums_;
  std::vector<RoundedRow> rows_;
  TokenTiles tiles_;
};

}  // namespace snug::infer

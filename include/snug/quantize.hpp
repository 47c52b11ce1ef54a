#pragma once

#include <cstddef>
#include <span>

#include "snug/format.hpp"
#include "snug/matrix.hpp"

namespace snug {

/// Quantizes a matrix into blocks of `format`.
///
///   weights  [rows, cols] f32, row-major, finite; cols a multiple of format.block_weights
///   columns  what the error is weighed with; each span empty or [cols]
///   blocks   rows * format.row_bytes(cols) bytes, overwritten
///
/// Same bytes on every instruction set and thread count. One thread; no allocation.
/// Throws Error on a non-finite weight (says row and column) or a length that does not fit.
void quantize(const Format& format, Matrix<const float> weights, const ColumnWeights& columns, Effort effort,
              std::span<std::byte> blocks);

/// The inverse: blocks as above into weights [rows, cols].
void dequantize(const Format& format, std::span<const std::byte> blocks, Matrix<float> weights);

/// The error of a row as ColumnWeights defines it, in double, in a fixed order. difference = decoded - original.
double weighted_error(std::span<const float> original, std::span<const float> decoded, const ColumnWeights& columns);

}  // namespace snug

#pragma once

#include <cstddef>
#include <span>

#include "quant/feedback/hessian_factor.hpp"
#include "snug/format.hpp"
#include "snug/matrix.hpp"

namespace snug {

/// Whether encode_second_order() can change codes of the format.
bool has_second_order(const Format& format);

/// Encodes rows so that curved_error() with columns.along_row is small, into blocks like any others.
///
///   weights    [rows, cols] f32, finite
///   columns    what the format's own encoder weighs errors with: the start, and the result where nothing
///   beats it curvature  of the tensor's input, cols wide blocks     rows * format.row_bytes(cols) bytes,
///   overwritten
///
/// Block by block from the left: what columns so far have done to the output is taken from the weights to
/// come (HessianFactor), the format's encoder chooses the block's scales for those, and column by column
/// (codebook formats: eight by eight) codes are chosen that leave the least. Then, over all columns, each
/// code in turn is made the best for all others as they are, until none changes; before and after, the row's
/// scales are brought to its gain (quant/gain.hpp). A row keeps the encoder's own blocks where they are as
/// good. Formats without codes are encoded as ever.
///
/// Where the blocks `are_encoded` already, by quantize() from the same, it is not done again.
///
/// Each row by itself: the same bytes however rows are divided, on any instruction set. One thread; rows in
/// larger numbers share the reading of `curvature`. O(rows * cols^2). Throws Error as quantize() does, and
/// where `curvature` has another width.
void encode_second_order(const Format& format, Matrix<const float> weights, const ColumnWeights& columns,
                         const HessianFactor& curvature, Effort effort, std::span<std::byte> blocks,
                         bool are_encoded = false);

}  // namespace snug

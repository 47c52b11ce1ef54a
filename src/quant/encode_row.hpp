#pragma once

#include "quant/kernels/kernels.hpp"
#include "snug/format.hpp"

namespace snug {

/// Encodes a row for the whole quadratic form of ColumnWeights, the mean's part included.
///
/// The kernels know only a diagonal. With means m the error is  sum_j (v_j - m_j^2) d_j^2 + s^2,  s = sum_j
/// m_j d_j, and s can be brought near 0 almost for free: where some weights are encoded as if each were x_j -
/// s t_j, t_j = (m_j / w_j) / (1 + sum m^2 / w),  w = v - m^2,  roundings tip over just often enough to
/// cancel s. So: encode with weights w, the last quarter of the row against the s of the rest; then the 64
/// weights with the largest sum m^2 / w get new codes against what is left, and the next 64, as long as s
/// matters. The exact error decides. Block by block the layout is as ever. Without means, or in a format of 8
/// bits and more, this is codec.encode. No allocation.
void encode_row(const RowWork& work, const Codec& codec, BlockShape shape, std::span<const float> row,
                const ColumnWeights& columns, Effort effort, std::byte* blocks);

}  // namespace snug

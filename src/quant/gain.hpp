#pragma once

#include <span>

#include "snug/format.hpp"

namespace snug {

/// Multiplies the row's f16 scales by one factor so that the error of `columns`, its part along the row
/// included, is least; codes stay. Formats without 16-bit scales, and those of 8 bits and more, keep theirs; so do
/// rows in MLX's formats where rounding the scales anew would cost more than that gains.
///
/// Least squares shrinks: the closest reproduction q of a row w leaves the error orthogonal to q, so that
/// <w, q> = (1 - rho) <w, w>. With w_j = v_j - m_j^2, a = <w, w>, b = <w, q> in that metric and A, B, C the
/// same products in the whole form, the error after a factor g is
///   C g^2 - 2 B g + A + (along_row - 1) (g b - a)^2 / a,   least at  g = (B + (along_row - 1) b) / (C + (along_row - 1) b^2 / a).
/// No allocation.
void restore_gain(const Format& format, std::span<const float> row, const ColumnWeights& columns,
                  std::byte* blocks);

/// Multiplies every 16-bit scale (and minimum) of the row's blocks; false if the format has none.
bool multiply_scales(FormatId format, std::span<std::byte> blocks, float factor);

}  // namespace snug

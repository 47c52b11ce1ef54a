#pragma once

#include <span>

#include "quant/mlx_rule.hpp"
#include "snug/format.hpp"

namespace snug {

/// Encodes one row as MLX's own quantize does by that rule, bit for bit: for files that are to be the same as
/// published ones, and to compare our encoders with.
///
///   row     finite; length a multiple of format.block_weights; values of rule.source
///   blocks  format.row_bytes() bytes, overwritten
///
/// Same bytes on every instruction set. No allocation. Throws Error where the format is none of MLX's.
void encode_as_mlx(const Format& format, std::span<const float> row, const MlxRule& rule, std::byte* blocks);

}  // namespace snug

#pragma once

#include <compare>
#include <optional>
#include <string_view>

#include "snug/format.hpp"

namespace snug {

/// What config.json of an MLX folder says of a quantized module.
struct MlxMode {
  int group_size = 0, bits = 0;
  std::string_view name;  // "affine", "mxfp4", "nvfp4", "mxfp8"

  auto operator<=>(const MlxMode&) const = default;
};

/// None of a format that files of MLX do not have.
std::optional<MlxMode> mlx_mode_of(FormatId format);

/// The format of a mode, of an affine one with scales in `scales` (f16 or bf16). None where MLX has no such mode, or
/// snug no such format.
std::optional<FormatId> mlx_format_of(const MlxMode& mode, FormatId scales);

/// The same format with scales in another type: that of the weights they come from. Itself where it has none.
FormatId with_scales_of(FormatId format, FormatId weights);

}  // namespace snug

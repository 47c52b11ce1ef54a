#include "quant/mlx_modes.hpp"

#include <algorithm>

namespace snug {
namespace {

std::string_view mode_name(FormatId format) {
  switch (format) {
    case FormatId::mlx_mxfp4: return "mxfp4";
    case FormatId::mlx_nvfp4: return "nvfp4";
    case FormatId::mlx_mxfp8: return "mxfp8";
    default: return "affine";
  }
}

bool has_scales_in(const Format& format, PlaneType type) {
  return std::ranges::any_of(format.planes, [&](const Plane& plane) { return plane.type == type; });
}

}  // namespace

std::optional<MlxMode> mlx_mode_of(FormatId id) {
  const Format* format = find_format(id);
  if (!format || format->family != Family::mlx) return {};
  const auto weights = static_cast<int>(format->block_weights);
  return MlxMode{weights, static_cast<int>(8 * format->planes[0].bytes) / weights, mode_name(id)};
}

std::optional<FormatId> mlx_format_of(const MlxMode& mode, FormatId scales) {
  const PlaneType other = scales == FormatId::f16 ? PlaneType::bf16 : PlaneType::f16;
  for (const Format& format : formats(Family::mlx))
    if (mlx_mode_of(format.id) == mode && !has_scales_in(format, other)) return format.id;
  return {};
}

FormatId with_scales_of(FormatId format, FormatId weights) {
  const auto mode = mlx_mode_of(format);
  return mode ? mlx_format_of(*mode, weights).value_or(format) : format;
}

}  // namespace snug

#pragma once

#include <cstdint>

#include "snug/format.hpp"

namespace snug {

/// How MLX itself rounds weights. Files made by different converters, on different machines, follow different
/// rules; whoever wants the same bytes must name them.
struct MlxRule {
  /// Its kernels for GPUs, or its operations on the CPU. Affine: gpu rounds halves away from zero and takes a
  /// group's maximum to be at least 0. Floating-point modes: gpu multiplies by the scale's reciprocal, rounds
  /// ties to even codes and keeps -0; cpu divides, in the weights' own type, and rounds ties towards zero.
  enum class Device : uint8_t { cpu, gpu } device = Device::gpu;

  /// Exponent of mxfp4 and mxfp8: the nearest to log2 of what is wanted (MLX to 0.32.1: the largest weights are
  /// clipped), or the least that reaches it (from 0.32.2).
  enum class Exponent : uint8_t { nearest, ceil } exponent = Exponent::ceil;

  /// f32, f16 or bf16: what the weights are stored as.
  FormatId source = FormatId::bf16;
};

}  // namespace snug

#pragma once

#include <utility>

#include "quant/blocks_mlx.hpp"
#include "quant/kernels/bits.hpp"

// What all kernels of MLX's affine formats go by: which there are, and what their scales and biases stand for.

namespace snug {

inline constexpr int kAffineBits[] = {2, 3, 4, 5, 6, 8}, kAffineGroups[] = {32, 64, 128};
inline constexpr ScaleType kAffineTypes[] = {ScaleType::bf16, ScaleType::f16};

/// The block of the n-th affine format, in the order of their numbers: by type, then bits, then group.
template <int n>
using AffineBlock = BlockAffine<kAffineBits[n / 3 % 6], kAffineGroups[n % 3], kAffineTypes[n / 18]>;

template <int n>
inline constexpr FormatId kAffineFormat = static_cast<FormatId>(
    static_cast<int>(n < 18 ? FormatId::mlx_q2_g32 : FormatId::mlx_q2_g32_f16) + n % 18);

static_assert(kAffineFormat<17> == FormatId::mlx_q8_g128 && kAffineFormat<35> == FormatId::mlx_q8_g128_f16);

using EveryAffine = std::make_integer_sequence<int, 36>;

/// A 16-bit float as a scale or bias is stored.
template <class V, ScaleType type>
float stored_scale(uint16_t bits) noexcept {
  return type == ScaleType::f16 ? V::half(bits) : float_of_bits(static_cast<uint32_t>(bits) << 16);
}

}  // namespace snug

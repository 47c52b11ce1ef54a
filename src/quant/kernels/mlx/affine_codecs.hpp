#pragma once

#include <array>

#include "quant/kernels/mlx/affine_search.hpp"
#include "quant/kernels/mlx/affine_stock.hpp"

// The codecs of all of MLX's affine formats, in the order of their numbers.

namespace snug {

template <Simd V, class Block>
constexpr CodecRow affine_codec(FormatId id) {
  return {id, {encode_affine<V, Block>, decode_affine<V, Block>, nullptr, encode_affine_as_mlx<V, Block>}};
}

/// Groups of 32, 64 and 128, with numbers that follow each other.
template <Simd V, int bits, ScaleType type>
constexpr std::array<CodecRow, 3> affine_codecs(FormatId first) {
  const auto id = [&](uint32_t k) { return static_cast<FormatId>(static_cast<uint32_t>(first) + k); };
  return {affine_codec<V, BlockAffine<bits, 32, type>>(id(0)), affine_codec<V, BlockAffine<bits, 64, type>>(id(1)),
          affine_codec<V, BlockAffine<bits, 128, type>>(id(2))};
}

template <Simd V>
constexpr std::array<CodecRow, 3> kAffineCodecs[] = {
    affine_codecs<V, 2, ScaleType::bf16>(FormatId::mlx_q2_g32),
    affine_codecs<V, 3, ScaleType::bf16>(FormatId::mlx_q3_g32),
    affine_codecs<V, 4, ScaleType::bf16>(FormatId::mlx_q4_g32),
    affine_codecs<V, 5, ScaleType::bf16>(FormatId::mlx_q5_g32),
    affine_codecs<V, 6, ScaleType::bf16>(FormatId::mlx_q6_g32),
    affine_codecs<V, 8, ScaleType::bf16>(FormatId::mlx_q8_g32),
    affine_codecs<V, 2, ScaleType::f16>(FormatId::mlx_q2_g32_f16),
    affine_codecs<V, 3, ScaleType::f16>(FormatId::mlx_q3_g32_f16),
    affine_codecs<V, 4, ScaleType::f16>(FormatId::mlx_q4_g32_f16),
    affine_codecs<V, 5, ScaleType::f16>(FormatId::mlx_q5_g32_f16),
    affine_codecs<V, 6, ScaleType::f16>(FormatId::mlx_q6_g32_f16),
    affine_codecs<V, 8, ScaleType::f16>(FormatId::mlx_q8_g32_f16),
};

}  // namespace snug

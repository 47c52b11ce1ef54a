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

template <Simd V, int... n>
constexpr std::array<CodecRow, sizeof...(n)> affine_codecs(std::integer_sequence<int, n...>) {
  return {affine_codec<V, AffineBlock<n>>(kAffineFormat<n>)...};
}

template <Simd V>
constexpr auto kAffineCodecs = affine_codecs<V>(EveryAffine{});

}  // namespace snug

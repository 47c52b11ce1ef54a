#pragma once

#include "infer/kernels/codes_short.hpp"
#include "quant/blocks_mlx.hpp"

// MLX's formats in groups of 32 columns; see codes.hpp. Their activations keep scales and sums in f32: offsets
// are as large as the weights, and no other program's rounding is to be matched.

namespace snug::infer {
namespace {

constexpr FormatId affine_format(int bits, int group, ScaleType type) {
  const FormatId first = type == ScaleType::bf16 ? FormatId::mlx_q2_g32 : FormatId::mlx_q2_g32_f16;
  const int of_bits = bits == 8 ? 5 : bits - 2, of_group = group == 32 ? 0 : group == 64 ? 1 : 2;
  return static_cast<FormatId>(static_cast<uint32_t>(first) + static_cast<uint32_t>(3 * of_bits + of_group));
}

template <class V, ScaleType type>
float stored_scale(uint16_t bits) {
  return type == ScaleType::f16 ? V::half(bits) : float_of_bits(static_cast<uint32_t>(bits) << 16);
}

/// Codes of eight bits are taken less kCentre, so that they fit a signed byte; the offset makes up for it.
template <class V, int bits, int group, ScaleType type>
struct CodesAffine {
  using Block = BlockAffine<bits, group, type>;
  static constexpr FormatId kFormat = affine_format(bits, group, type);
  static constexpr Rounding kRounding = Rounding::blocks32_f32;
  static constexpr int kGroups = group / 32, kCentre = bits == 8 ? 128 : 0;
  static constexpr bool kOffset = true, kHalves = false, kSigned = bits == 8;
  const Block& block;
  explicit CodesAffine(const Block& b) : block{b} {}

  float d(int) const { return stored_scale<V, type>(block.scale); }
  float m(int g) const {
    const float bias = stored_scale<V, type>(block.bias);
    return kCentre == 0 ? bias : bias + static_cast<float>(kCentre) * d(g);
  }
  typename V::f32 d_everywhere(int g) const { return V::splat(d(g)); }
  typename V::b codes(int g) const {
    const uint8_t* p = block.codes + 4 * bits * g;
    if constexpr (bits == 8)
      return V::sub_b(V::load_b(p), V::splat_byte(kCentre));
    else
      return V::template stream_codes<bits>(p);
  }
};

template <class V>
struct CodesMlxMxfp4 : NoOffset {
  using Block = BlockMlxMxfp4;
  static constexpr FormatId kFormat = FormatId::mlx_mxfp4;
  static constexpr Rounding kRounding = Rounding::blocks32_f32;
  static constexpr int kGroups = 1;
  const Block& block;
  explicit CodesMlxMxfp4(const Block& b) : block{b} {}

  float d(int) const { return e8m0_value(block.scale) * 0.5f; }  // kFp4Bytes are doubled
  typename V::f32 d_everywhere(int) const { return V::splat(d(0)); }
  typename V::b codes(int) const { return V::look_up(kFp4Bytes, V::template stream_codes<4>(block.codes)); }
};

/// Two blocks: 32 columns.
struct MlxNvfp4Pair {
  BlockMlxNvfp4 at[2];
};

template <class V>
struct CodesMlxNvfp4 {
  using Block = MlxNvfp4Pair;
  static constexpr FormatId kFormat = FormatId::mlx_nvfp4;
  static constexpr Rounding kRounding = Rounding::blocks32_f32;
  static constexpr int kGroups = 1;
  static constexpr bool kOffset = false, kHalves = true;
  const Block& block;
  explicit CodesMlxNvfp4(const Block& b) : block{b} {}

  float d(int half) const { return kE4m3.at[block.at[half].scale] * 0.5f; }
  typename V::f32 d_everywhere(int) const { return V::splat_halves(d(0), d(1)); }
  typename V::b codes(int) const {
    return V::look_up(kFp4Bytes, V::stream_nibbles(block.at[0].codes, block.at[1].codes));
  }
};

/// Every affine format, as X<V, bits, group, type>.
template <class V, template <class, int, int, ScaleType> class X, ScaleType type>
using AffineOfType =
    CodesList<X<V, 2, 32, type>, X<V, 2, 64, type>, X<V, 2, 128, type>, X<V, 3, 32, type>, X<V, 3, 64, type>,
              X<V, 3, 128, type>, X<V, 4, 32, type>, X<V, 4, 64, type>, X<V, 4, 128, type>, X<V, 5, 32, type>,
              X<V, 5, 64, type>, X<V, 5, 128, type>, X<V, 6, 32, type>, X<V, 6, 64, type>, X<V, 6, 128, type>,
              X<V, 8, 32, type>, X<V, 8, 64, type>, X<V, 8, 128, type>>;

template <class... A, class... B>
constexpr CodesList<A..., B...> joined(CodesList<A...>, CodesList<B...>) {
  return {};
}

template <class V, template <class, int, int, ScaleType> class X>
using EachAffine =
    decltype(joined(AffineOfType<V, X, ScaleType::bf16>{}, AffineOfType<V, X, ScaleType::f16>{}));

template <class V>
using MlxCodes = decltype(joined(EachAffine<V, CodesAffine>{}, CodesList<CodesMlxMxfp4<V>, CodesMlxNvfp4<V>>{}));

}  // namespace
}  // namespace snug::infer

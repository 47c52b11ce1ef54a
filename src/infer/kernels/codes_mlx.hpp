#pragma once

#include "infer/kernels/codes_short.hpp"
#include "quant/kernels/mlx/affine_formats.hpp"

// MLX's formats in groups of 32 columns; see codes.hpp. Their activations keep scales and sums in f32: offsets
// are as large as the weights, and no other program's rounding is to be matched.

namespace snug::infer {
namespace {

/// Codes of eight bits are taken less kCentre, so that they fit a signed byte; the offset makes up for it.
template <class V, int number>
struct CodesAffine {
  using Block = AffineBlock<number>;
  static constexpr int kBits = Block::kBits;
  static constexpr ScaleType kType = Block::kType;
  static constexpr FormatId kFormat = kAffineFormat<number>;
  static constexpr Rounding kRounding = Rounding::blocks32_f32;
  static constexpr int kGroups = int{Block::kWeights} / 32, kCentre = kBits == 8 ? 128 : 0;
  static constexpr bool kOffset = true, kHalves = false, kSigned = kBits == 8;
  const Block& block;
  explicit CodesAffine(const Block& b) : block{b} {}

  float d(int) const { return stored_scale<V, kType>(block.scale); }
  float m(int g) const {
    const float bias = stored_scale<V, kType>(block.bias);
    return kCentre == 0 ? bias : bias + static_cast<float>(kCentre) * d(g);
  }
  typename V::f32 d_everywhere(int g) const { return V::splat(d(g)); }
  typename V::b codes(int g) const {
    const uint8_t* p = block.codes + 4 * kBits * g;
    if constexpr (kBits == 8)
      return V::sub_b(V::load_b(p), V::splat_byte(kCentre));
    else
      return V::template stream_codes<kBits>(p);
  }
};

/// 32 columns in groups of so many.
template <int columns>
struct Fp4Columns {
  BlockMlxFp4<columns> groups[32 / columns];

  template <class V>
  typename V::b nibbles() const {
    if constexpr (columns == 32)
      return V::template stream_codes<4>(groups[0].codes);
    else
      return V::stream_nibbles(groups[0].codes, groups[1].codes);
  }
};

template <class V>
struct CodesMlxMxfp4 : NoOffset {
  using Block = Fp4Columns<32>;
  static constexpr FormatId kFormat = FormatId::mlx_mxfp4;
  static constexpr Rounding kRounding = Rounding::blocks32_f32;
  static constexpr int kGroups = 1;
  const Block& block;
  explicit CodesMlxMxfp4(const Block& b) : block{b} {}

  float d(int) const { return e8m0_value(block.groups[0].scale) * 0.5f; }  // kFp4Bytes are doubled
  typename V::f32 d_everywhere(int) const { return V::splat(d(0)); }
  typename V::b codes(int) const { return V::look_up(kFp4Bytes, block.template nibbles<V>()); }
};

template <class V>
struct CodesMlxNvfp4 {
  using Block = Fp4Columns<16>;
  static constexpr FormatId kFormat = FormatId::mlx_nvfp4;
  static constexpr Rounding kRounding = Rounding::blocks32_f32;
  static constexpr int kGroups = 1;
  static constexpr bool kOffset = false, kHalves = true;
  const Block& block;
  explicit CodesMlxNvfp4(const Block& b) : block{b} {}

  float d(int half) const { return kE4m3.at[block.groups[half].scale] * 0.5f; }
  typename V::f32 d_everywhere(int) const { return V::splat_halves(d(0), d(1)); }
  typename V::b codes(int) const { return V::look_up(kFp4Bytes, block.template nibbles<V>()); }
};

template <class... A, class... B>
constexpr CodesList<A..., B...> joined(CodesList<A...>, CodesList<B...>) {
  return {};
}

template <class V, template <class, int> class X, int... n>
constexpr CodesList<X<V, n>...> each_affine(std::integer_sequence<int, n...>) {
  return {};
}
template <class V, template <class, int> class X>
using EachAffine = decltype(each_affine<V, X>(EveryAffine{}));

template <class V>
using MlxCodes = decltype(joined(EachAffine<V, CodesAffine>{}, CodesList<CodesMlxMxfp4<V>, CodesMlxNvfp4<V>>{}));

}  // namespace
}  // namespace snug::infer

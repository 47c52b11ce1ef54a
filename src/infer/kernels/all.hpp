#pragma once

#include <array>

#include "infer/kernels/attend_block.hpp"
#include "infer/kernels/codes_iq.hpp"
#include "infer/kernels/codes_mlx.hpp"
#include "infer/kernels/codes_short.hpp"
#include "infer/kernels/peak.hpp"
#include "infer/kernels/product.hpp"
#include "infer/kernels/product_bytes.hpp"
#include "infer/kernels/real_mxfp8.hpp"
#include "infer/kernels/round.hpp"
#include "infer/kernels/strip_products.hpp"

namespace snug::infer {
namespace {

/// A set of lanes may bring its own product of 8-bit codes.
template <class V, class Unpack>
constexpr void set_product(PackedFormat& format) {
  if constexpr (requires { V::kHasTiles; }) {
    format.product = V::template product_of_codes<Unpack>;
    format.layout = Layout::rows;
  } else {
    format.product = product<V, Unpack>;
  }
}

template <class V, class Codes>
constexpr PackedFormat super_format() {
  PackedFormat format{Codes::kFormat, Rounding::blocks256,
                      dots_of_blocks<V, Codes, 2, dot_super<V, Codes, 2>, dot_super<V, Codes, 1>>};
  if constexpr (
      requires { typename Codes::Bytes; } && !requires { V::kHasTiles; }) {
    format.product = product_of_bytes<V, Codes>;
    format.layout = Layout::bytes;
  } else {
    set_product<V, UnpackSuper<V, Codes>>(format);
  }
  return format;
}
template <class Codes>
constexpr Rounding rounding_of() {
  if constexpr (requires { Codes::kRounding; }) return Codes::kRounding;
  return Rounding::blocks32;
}
template <class V, class Codes>
constexpr PackedFormat short_format() {
  PackedFormat format{
      Codes::kFormat, rounding_of<Codes>(),
      dots_of_blocks<V, Codes, V::kShortRows, dot_short<V, Codes, V::kShortRows>, dot_short<V, Codes, 1>>};
  set_product<V, UnpackShort<V, Codes>>(format);
  return format;
}
template <class V, class Read>
constexpr PackedFormat real_format(FormatId id, Rounding rounding) {
  return {id, rounding, dots_of_reals<V, Read>, product<V, UnpackReal<V, Read>>};
}

template <class V>
constexpr PackedFormat mxfp8_format() {
  return {FormatId::mlx_mxfp8, Rounding::none, dots_of_mxfp8<V>, product<V, UnpackMxfp8<V>>};
}

template <class V, class... Super, class... Iq, class... Short, class... Mlx>
constexpr auto packed_formats(CodesList<Super...>, CodesList<Iq...>, CodesList<Short...>, CodesList<Mlx...>) {
  return std::array{real_format<V, ReadF32<V>>(FormatId::f32, Rounding::none),
                    real_format<V, ReadF16<V>>(FormatId::f16, Rounding::f16),
                    real_format<V, ReadBf16<V>>(FormatId::bf16, Rounding::bf16),
                    super_format<V, Super>()...,
                    super_format<V, Iq>()...,
                    short_format<V, Short>()...,
                    short_format<V, Mlx>()...,
                    mxfp8_format<V>()};
}
template <class V>
constinit const auto kPackedFormats = packed_formats<V>(KCodes<V>{}, IqCodes<V>{}, ShortCodes<V>{}, MlxCodes<V>{});

template <class V, class S>
constexpr RepackedFormat repacked_format() {
  PackedFormat products{S::kFormat, S::kRounding, dots_of_strips<V, S>, product_of_strips<V, S>, Layout::rows};
  if constexpr (requires { V::kHasTiles; }) products.product = V::template product_of_strips<S>;
  return {products, sizeof(typename S::Strip), strip_columns<S>(), repack_rows<V, S>};
}

template <class V, class... S>
constexpr auto repacked_formats(CodesList<S...>) {
  return std::array{repacked_format<V, S>()...};
}
template <class V>
constinit const auto kRepackedFormats = repacked_formats<V>(joined(AllStrips<V>{}, MlxStrips<V>{}));

/// A set may bring more lanes for what works lane by lane.
template <class V>
struct WideOf {
  using Lanes = AttendLanes<V>;
};
template <class V>
requires requires {
  typename V::Wide;
}
struct WideOf<V> {
  using Lanes = typename V::Wide;
};

template <class V>
constexpr MatmulKernels packed_kernels_for(const char* isa) {
  MatmulKernels k{};
  k.isa = isa;
  k.round = round_row<V>;
  k.interleave = interleave_tile<V>;
  k.formats = kPackedFormats<V>;
  if constexpr (requires { V::kFours; }) k.repacked = kRepackedFormats<V>;
  using Wide = typename WideOf<V>::Lanes;
  k.attend_lanes = Wide::kLanes;
  k.score = score<Wide>;
  k.gather = gather<Wide>;
  k.attend_one = attend_one<V>;
  k.widen = widen_rows<V>;
  k.silu = silu_rows<Wide>;
  k.norm = norm_row<V>;
  k.read = read_all<V>;
  k.read_ahead = read_ahead<V>;
  k.integer_peak = integer_peak<V>;
  k.real_peak = real_peak<V>;
  return k;
}

}  // namespace
}  // namespace snug::infer

#pragma once

#include "infer/kernels/attend_block.hpp"
#include "infer/kernels/codes_iq.hpp"
#include "infer/kernels/codes_short.hpp"
#include "infer/kernels/peak.hpp"
#include "infer/kernels/product.hpp"
#include "infer/kernels/product_bytes.hpp"
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
constexpr PackedFormat super_format(FormatId id) {
  PackedFormat format{id, Rounding::blocks256,
                      dots_of_blocks<V, Codes, 2, dot_super<V, Codes, 2>, dot_super<V, Codes, 1>>};
  if constexpr (
      requires { BytesOf<Codes>::kLargest; } && !requires { V::kHasTiles; }) {
    format.product = product_of_bytes<V, Codes>;
    format.layout = Layout::bytes;
  } else {
    set_product<V, UnpackSuper<V, Codes>>(format);
  }
  return format;
}
template <class V, class Codes>
constexpr PackedFormat short_format(FormatId id) {
  PackedFormat format{
      id, Rounding::blocks32,
      dots_of_blocks<V, Codes, V::kShortRows, dot_short<V, Codes, V::kShortRows>, dot_short<V, Codes, 1>>};
  set_product<V, UnpackShort<V, Codes>>(format);
  return format;
}
template <class V, class Read>
constexpr PackedFormat real_format(FormatId id, Rounding rounding) {
  return {id, rounding, dots_of_reals<V, Read>, product<V, UnpackReal<V, Read>>};
}

/// Every format, in the order of their ids.
template <class V>
constinit const PackedFormat kPackedFormats[] = {
    real_format<V, ReadF32<V>>(FormatId::f32, Rounding::none),
    real_format<V, ReadF16<V>>(FormatId::f16, Rounding::f16),
    short_format<V, CodesQ4_0<V>>(FormatId::q4_0),
    short_format<V, CodesQ4_1<V>>(FormatId::q4_1),
    short_format<V, CodesQ5_0<V>>(FormatId::q5_0),
    short_format<V, CodesQ5_1<V>>(FormatId::q5_1),
    short_format<V, CodesQ8_0<V>>(FormatId::q8_0),
    super_format<V, CodesQ2K<V>>(FormatId::q2_K),
    super_format<V, CodesQ3K<V>>(FormatId::q3_K),
    super_format<V, CodesQ4K<V>>(FormatId::q4_K),
    super_format<V, CodesQ5K<V>>(FormatId::q5_K),
    super_format<V, CodesQ6K<V>>(FormatId::q6_K),
    super_format<V, CodesIq2Xxs<V>>(FormatId::iq2_xxs),
    super_format<V, CodesIq2Xs<V>>(FormatId::iq2_xs),
    super_format<V, CodesIq3Xxs<V>>(FormatId::iq3_xxs),
    super_format<V, CodesIq1S<V>>(FormatId::iq1_s),
    short_format<V, CodesIq4Nl<V>>(FormatId::iq4_nl),
    super_format<V, CodesIq3S<V>>(FormatId::iq3_s),
    super_format<V, CodesIq2S<V>>(FormatId::iq2_s),
    super_format<V, CodesIq4Xs<V>>(FormatId::iq4_xs),
    super_format<V, CodesIq1M<V>>(FormatId::iq1_m),
    real_format<V, ReadBf16<V>>(FormatId::bf16, Rounding::bf16),
    super_format<V, CodesTq1_0<V>>(FormatId::tq1_0),
    super_format<V, CodesTq2_0<V>>(FormatId::tq2_0),
    short_format<V, CodesMxfp4<V>>(FormatId::mxfp4),
    short_format<V, CodesNvfp4<V>>(FormatId::nvfp4),
    short_format<V, CodesQ1_0<V>>(FormatId::q1_0),
    short_format<V, CodesQ2_0<V>>(FormatId::q2_0),
};

template <class V, class S>
constexpr RepackedFormat repacked_format(FormatId id) {
  PackedFormat products{id, S::kRounding, dots_of_strips<V, S>, product_of_strips<V, S>, Layout::rows};
  if constexpr (requires { V::kHasTiles; }) products.product = V::template product_of_strips<S>;
  return {products, sizeof(typename S::Strip), repack_rows<V, S>};
}

/// Where codes as they are unpacked from the file hold up what memory could bring.
template <class V>
constinit const RepackedFormat kRepackedFormats[] = {
    repacked_format<V, StripsQ4_0<V>>(FormatId::q4_0),
    repacked_format<V, StripsQ8_0<V>>(FormatId::q8_0),
    repacked_format<V, StripsQ4K<V>>(FormatId::q4_K),
    repacked_format<V, StripsQ5K<V>>(FormatId::q5_K),
    repacked_format<V, StripsIq4Nl<V>>(FormatId::iq4_nl),
    repacked_format<V, StripsIq4Xs<V>>(FormatId::iq4_xs),
    repacked_format<V, StripsMxfp4<V>>(FormatId::mxfp4),
};

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
constexpr PackedKernels packed_kernels_for(const char* isa) {
  PackedKernels k{};
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

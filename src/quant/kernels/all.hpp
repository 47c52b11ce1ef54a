#pragma once

#include <algorithm>
#include <array>

#include "quant/feedback/point_prices.hpp"
#include "quant/format_rows.hpp"
#include "quant/kernels/encode_fp4.hpp"
#include "quant/kernels/encode_few_levels.hpp"
#include "quant/kernels/encode_iq1.hpp"
#include "quant/kernels/encode_iq2.hpp"
#include "quant/kernels/encode_iq3.hpp"
#include "quant/kernels/encode_iq4_xs.hpp"
#include "quant/kernels/encode_kquant_pack.hpp"
#include "quant/kernels/encode_legacy.hpp"
#include "quant/kernels/encode_offset.hpp"
#include "quant/kernels/mlx/affine_codecs.hpp"
#include "quant/kernels/mlx/fp.hpp"
#include "quant/kernels/plain.hpp"
#include "quant/kernels/row_errors.hpp"
#include "quant/kernels/vectors.hpp"

namespace snug {

/// The codecs of all families, in the order of the table of formats.
template <Simd V>
constexpr auto all_codecs() {
  std::array<CodecRow, kFormatRows.size()> all{};
  size_t count = 0;
  const auto add = [&](const auto& family) {
    for (const CodecRow& row : family) all.at(count++) = row;
  };
  add(kPlainCodecs<V>);
  add(kLegacyCodecs<V>);
  add(kFewLevelsCodecs<V>);
  add(kOffsetCodecs<V>);
  add(kFp4Codecs<V>);
  add(kKCodecs<V>);
  add(kIq1Codecs<V>);
  add(kIq2Codecs<V>);
  add(kIq3Codecs<V>);
  add(kIq4XsCodecs<V>);
  add(kAffineCodecs<V>);
  add(kMlxFpCodecs<V>);
  std::ranges::sort(all, {}, &CodecRow::id);
  return all;
}

template <Simd V>
constexpr bool covers_all_formats(const auto& codecs) {
  const auto whole = [](const CodecRow& row) { return row.codec.encode && row.codec.decode; };
  return std::ranges::equal(codecs, kFormatRows, {}, &CodecRow::id, &FormatRow::id) &&
         std::ranges::all_of(codecs, whole);
}

/// Every kernel instantiated for V; `codecs` are all_codecs<V>() or better ones.
template <Simd V, const auto& codecs>
constexpr Kernels kernels_for(const char* isa) {
  static_assert(covers_all_formats<V>(codecs), "a format of kFormatRows has no codec, or a codec no such row");
  Kernels k{};
  k.isa = isa;
  k.row = {all_finite<V>, weigh_columns<V>, sum_products<V>, row_errors<V>, gain_sums<V>, aim<V>};
  k.codecs = codecs;
  k.add_scaled = add_scaled<V>;
  k.add_panel = add_panel<V>;
  k.price_points4 = price_points<V, 4>;
  k.price_points8 = price_points<V, 8>;
  return k;
}

template <Simd V>
constexpr auto kAllCodecs = all_codecs<V>();

}  // namespace snug

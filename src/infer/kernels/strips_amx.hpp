#pragma once

#include "infer/kernels/product_amx.hpp"
#include "infer/kernels/strip_products.hpp"

// Products of strips on AMX tiles: strips already have four columns of sixteen rows side by side.

namespace snug::infer {
namespace {

/// 32 codes raised by `raise` times the scales of their rows, as 128 high + low; scales twice a row, as i16.
inline void store_split(__m256i codes, __m256i scales, int raise, int8_t* high, int8_t* low) {
  const __m256i less = _mm256_mullo_epi16(scales, _mm256_set1_epi16(static_cast<int16_t>(raise)));
  const auto product = [&](__m256i x) {
    const __m256i raised = _mm256_mullo_epi16(x, scales);
    return raise ? _mm256_sub_epi16(raised, less) : raised;
  };
  const __m256i even = product(_mm256_and_si256(codes, _mm256_set1_epi16(255))),
                odd = product(_mm256_srli_epi16(codes, 8));
  const auto top = [](__m256i x) { return _mm256_srai_epi16(_mm256_add_epi16(x, _mm256_set1_epi16(64)), 7); };
  const __m256i even_top = top(even), odd_top = top(odd);
  const auto bytes = [](__m256i x, __m256i y) {
    return _mm256_mask_blend_epi8(0xaaaaaaaa, x, _mm256_slli_epi16(y, 8));
  };
  _mm256_store_si256(reinterpret_cast<__m256i*>(high), bytes(even_top, odd_top));
  _mm256_store_si256(reinterpret_cast<__m256i*>(low),
                     bytes(_mm256_sub_epi16(even, _mm256_slli_epi16(even_top, 7)),
                           _mm256_sub_epi16(odd, _mm256_slli_epi16(odd_top, 7))));
}

/// What spread() makes of sixteen rows, out of a strip that is made of parts; `at` parts lie before it.
template <class V, class S>
void spread_parts(const typename S::Strip& strip, int64_t at, int64_t row_tile, SpreadRows& s) {
  for (int64_t half = 0; half < 2; ++half)
    for (int64_t p = 0; p < S::kParts; ++p) {
      const int64_t first = kHalfStrip * half, words = S::kColumns / 4;
      each_below<S::kColumns / 4>([&]<int n>() {
        const auto codes = S::template codes<n>(strip.parts[p], half);
        V::store_b(s.low[row_tile][words * (at + p) + n][first], V::sub_b(codes, V::splat_byte(S::kRaise)));
      });
      V::store(s.d[row_tile][at + p] + first, S::d(strip, p, half));
      if constexpr (S::kOffset) V::store(s.below[row_tile][at + p] + first, S::m(strip, p, half));
    }
}

/// What spread() makes of sixteen rows, out of their strip. `columns` of short blocks.
template <class V, class S>
  requires(!MadeOfParts<S>)
void spread_strip(const typename S::Strip* strips, int64_t columns, int64_t row_tile, SpreadRows& s) {
  for (int64_t half = 0; half < 2; ++half) {
    const int64_t first = kHalfStrip * half;
    if constexpr (S::kRounding == Rounding::blocks32) {
      for (int64_t b = 0; b < columns / 32; ++b) {
        each_of_8([&]<int n>() {
          const auto codes = S::template codes<0, n>(strips[b], half);
          V::store_b(s.low[row_tile][8 * b + n][first], V::sub_b(codes, V::splat_byte(S::kRaise)));
        });
        V::store(s.d[row_tile][b] + first, S::d(strips[b], half));
      }
    } else {
      each_below<S::kGroups>([&]<int g>() {
        const auto scales = V::eight_bytes(strips->scales[g] + first);
        const auto twice = _mm256_blend_epi16(scales, _mm256_slli_epi32(scales, 16), 0xaa);
        each_of_8([&]<int n>() {
          store_split(S::template codes<g, n>(*strips, half), twice, S::kRaise,
                      s.high[row_tile][8 * g + n][first], s.low[row_tile][8 * g + n][first]);
        });
      });
      V::store(s.d[row_tile][0] + first, S::d(*strips, half));
      if constexpr (S::kMins) {
        V::store(s.below[row_tile][0] + first, S::dmin(*strips, half));
        for (int64_t p = 0; p < 4; ++p) {
          const auto pairs = V::widen(strips->mins[p][first]);
          V::store_w(s.mins[row_tile][p][first], pairs);
          V::store_w(s.mins[row_tile][p + 4][first], pairs);
        }
      }
    }
  }
}

template <class V, MadeOfParts S>
void spread_strip(const typename S::Strip* strips, int64_t columns, int64_t row_tile, SpreadRows& s) {
  for (int64_t b = 0; b < columns / strip_columns<S>(); ++b)
    spread_parts<V, S>(strips[b], b * S::kParts, row_tile, s);
}

template <class S>
struct TilesFrom {
  using Tiles = std::conditional_t<S::kRounding == Rounding::blocks32, ShortTiles<32, false>, SuperTiles<S::kMins>>;
};
template <MadeOfParts S>
struct TilesFrom<S> {
  using Tiles = ShortTiles<S::kColumns, S::kOffset>;
};

/// So few that spreading strips over tiles would take longer than the tiles themselves.
constexpr int64_t kFewTokens = 24;

/// PackedFormat::product of strips.
template <class V, class S>
void strips_in_tiles(const PackedRows& rows, const TokenTiles& x, float* scratch, float* y,
                     int64_t y_stride) {
  using Tiles = typename TilesFrom<S>::Tiles;
  if (x.tokens <= kFewTokens) return product_of_strips<V, S>(rows, x, scratch, y, y_stride);
  constexpr int64_t block = strip_columns<S>();
  SpreadRows s;
  const TileUse use{kShapes<Tiles::kColumnsAtOnce>};
  for (int64_t column = 0; column < rows.cols; column += kStretch) {
    const int64_t columns = rows.cols - column < kStretch ? rows.cols - column : kStretch;
    for (int64_t r = 0; r < rows.count; r += kStripRows)
      spread_strip<V, S>(strips_at<V, S>(rows, r) + column / block, columns, r / kStripRows, s);
    finish_writes();
    for (int64_t k = 0; k < columns; k += Tiles::kColumns)
      multiply_tiles<Tiles>(s, x, column + k, columns - k < Tiles::kColumns ? columns - k : Tiles::kColumns,
                            {scratch, y, y_stride, rows.count});
  }
}

}  // namespace
}  // namespace snug::infer

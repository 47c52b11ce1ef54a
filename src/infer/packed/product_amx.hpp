#pragma once

#include <immintrin.h>

#include "infer/packed/product.hpp"

// Matrix products on AMX tiles: 16 tokens times 16 rows of weights in one register of sums, from 8-bit codes.
// Codes times scales of super-blocks do not fit 8 bits, so they are split as 128 high + low, exactly. The
// same integers and the same f32 sums as in product.hpp, so the same bits.
//
// Tiles 0 to 3 hold sums, 4 and 5 tokens as they lie in memory, 6 and 7 weights, four columns of 16 rows side
// by side.

namespace snug::infer {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kRowTiles = kProductRows / kTileRows;

/// A stretch of rows, four columns of sixteen rows side by side; d, below and mins with the rows side by
/// side.
struct SpreadRows {
  alignas(64) int8_t high[kRowTiles][kStretch / 4][kTileRows][4];
  alignas(64) int8_t low[kRowTiles][kStretch / 4][kTileRows][4];
  alignas(64) int16_t mins[kRowTiles][8][kTileRows][2];
  alignas(64) float d[kRowTiles][kStretch / 16][kTileRows];
  alignas(64) float below[kRowTiles][kStretch / 32][kTileRows];
};

/// Sums of two tiles of tokens: [2 tiles of tokens][2][token][row].
struct TileSums {
  alignas(64) int32_t at[2][2][kTileRows][kTileRows];
};

struct TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

/// `columns` (up to 64) go into one multiplication.
constexpr TileShapes shapes_of(int columns) {
  TileShapes shapes;
  for (int n = 0; n < 8; ++n) {
    shapes.bytes[n] = static_cast<uint16_t>(n == 4 || n == 5 ? columns : 64);
    shapes.rows[n] = static_cast<uint8_t>(n < 6 ? 16 : columns / 4);
  }
  return shapes;
}

// The intrinsics do not tell the compiler how much memory they read: shapes are constants, and codes are
// known to be written after finish_writes().
template <int columns>
constinit const TileShapes kShapes = shapes_of(columns);

inline void finish_writes() {
  __asm__ volatile("" ::: "memory");
}

/// Tiles of given shapes on this thread. Whoever else uses some in the process finds their shapes again, not
/// the contents.
class TileUse {
 public:
  explicit TileUse(const TileShapes& shapes) {
    _tile_storeconfig(before_);
    _tile_loadconfig(&shapes);
  }
  ~TileUse() {
    if (before_[0] != 0)
      _tile_loadconfig(before_);
    else
      _tile_release();
  }
  TileUse(const TileUse&) = delete;
  TileUse& operator=(const TileUse&) = delete;

 private:
  alignas(64) uint8_t before_[sizeof(TileShapes)];
};

/// 16 rows of `words` groups of 4 bytes, to [word][row]. Rows are `stride` bytes apart.
template <class V>
inline void spread_words(const void* from, int64_t stride, int64_t words, void* to) {
  const auto* rows = static_cast<const std::byte*>(from);
  auto* out = static_cast<float*>(to);
  for (int64_t half = 0; half < 2; ++half)
    for (int64_t k = 0; k < words; k += 8) {
      typename V::f32 part[8];
      for (int64_t n = 0; n < 8; ++n) part[n] = V::as_f32(V::load_b(rows + (8 * half + n) * stride + 4 * k));
      V::transpose(part);
      for (int64_t n = 0; n < 8; ++n) V::store(out + (k + n) * kTileRows + 8 * half, part[n]);
    }
}

/// Masked, because gcc 12 takes the plain intrinsics for readers of what was never written.
inline __m512 as_reals(__m512i x) {
  return _mm512_maskz_cvtepi32_ps(0xffff, x);
}
inline __m256i as_bytes(__m512i x) {
  return _mm512_maskz_cvtepi16_epi8(0xffffffff, x);
}

/// The arithmetic of integer_peak() on tiles.
inline float tile_peak(int64_t steps) {
  constexpr int64_t kOperations = 2 * 16 * 16 * 64;
  const TileUse use{kShapes<64>};
  for (int64_t n = 0; n < steps * kIntegerPeakOperations / kOperations; n += 4) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  return 0;
}

/// 16-bit codes as bytes: with `split` high and low bytes, else low ones alone.
template <class V, bool split>
inline void spread_codes(const Unpacked& u, int64_t row_tile, SpreadRows& s) {
  alignas(64) int8_t high[kTileRows][kStretch], low[kTileRows][kStretch];
  for (int64_t r = 0; r < kTileRows; ++r)
    for (int64_t k = 0; k < kStretch; k += 32) {
      __m512i w = _mm512_loadu_si512(u.w[kTileRows * row_tile + r] + k);
      if constexpr (split) {
        const __m512i h = _mm512_srai_epi16(_mm512_add_epi16(w, _mm512_set1_epi16(64)), 7);
        w = _mm512_sub_epi16(w, _mm512_slli_epi16(h, 7));
        _mm256_store_si256(reinterpret_cast<__m256i*>(high[r] + k), as_bytes(h));
      }
      _mm256_store_si256(reinterpret_cast<__m256i*>(low[r] + k), as_bytes(w));
    }
  if constexpr (split) spread_words<V>(high, kStretch, kStretch / 4, s.high[row_tile]);
  spread_words<V>(low, kStretch, kStretch / 4, s.low[row_tile]);
}

/// A stretch of some rows and the columns of a group times one or two tiles of tokens.
struct TileStep {
  const RoundedRow* x;  // of the first token of the tiles; those of the others follow without a gap
  int64_t tiles, cols, column, group, row_tile;
  int64_t columns;  // from the group on
  float* sums;      // [token][kProductRows]
};

inline __m512 add_product(__m512 sum, __m512i integers, __m512 scale) {
  return _mm512_add_ps(sum, _mm512_mul_ps(as_reals(integers), scale));
}

/// Super-blocks: one group of 256 columns.
template <bool mins>
struct SuperTiles {
  static constexpr bool kSplit = true;
  static constexpr int kGroup = 256, kColumnsAtOnce = 64;

  static void multiply(const SpreadRows& s, const TileStep& at, TileSums& sums) {
    const int8_t* q = at.x->q + at.column;
    const bool two = at.tiles == 2;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t k = 0; k < kStretch / 64; ++k) {
      _tile_loadd(4, q + 64 * k, at.cols);
      _tile_loadd(6, s.high[at.row_tile][16 * k], 64);
      _tile_loadd(7, s.low[at.row_tile][16 * k], 64);
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      if (!two) continue;
      _tile_loadd(5, q + 16 * at.cols + 64 * k, at.cols);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    }
    _tile_stored(0, sums.at[0][0], 64);
    _tile_stored(1, sums.at[0][1], 64);
    if (!two) return;
    _tile_stored(2, sums.at[1][0], 64);
    _tile_stored(3, sums.at[1][1], 64);
  }

  static void add(const SpreadRows& s, const TileStep& at, const TileSums& sums) {
    const int64_t block = at.column / 256, blocks = at.cols / 256;
    const __m512 row_d = _mm512_load_ps(s.d[at.row_tile][0]);
    const float* d = at.x->d + block;
    const int16_t* below = at.x->sums + 16 * block;
    float* to = at.sums;
    for (int64_t tile = 0; tile < at.tiles; ++tile)
      for (int64_t t = 0; t < kTileRows; ++t, to += kProductRows, d += blocks, below += at.cols / 16) {
        const __m512i high = _mm512_load_si512(sums.at[tile][0][t]),
                      low = _mm512_load_si512(sums.at[tile][1][t]);
        const __m512 by = _mm512_set1_ps(*d);
        __m512 sum =
            add_product(_mm512_loadu_ps(to), _mm512_add_epi32(_mm512_maskz_slli_epi32(0xffff, high, 7), low),
                        _mm512_mul_ps(row_d, by));
        if constexpr (mins) sum = _mm512_sub_ps(sum, part_below(s, at.row_tile, below, by));
        _mm512_storeu_ps(to, sum);
      }
  }

 private:
  static __m512 part_below(const SpreadRows& s, int64_t row_tile, const int16_t* sums, __m512 d) {
    __m512i integers = _mm512_setzero_si512();
    for (int64_t k = 0; k < 8; ++k) {
      int32_t pair;
      __builtin_memcpy(&pair, sums + 2 * k, sizeof pair);
      integers =
          _mm512_dpwssd_epi32(integers, _mm512_load_si512(s.mins[row_tile][k]), _mm512_set1_epi32(pair));
    }
    return _mm512_mul_ps(as_reals(integers), _mm512_mul_ps(_mm512_load_ps(s.below[row_tile][0]), d));
  }
};

/// Groups of `group` columns with a scale each, two of them in a step where there are two.
template <int group, bool offset>
struct ShortTiles {
  static constexpr bool kSplit = false;
  static constexpr int kGroup = 2 * group, kColumnsAtOnce = group;

  static void multiply(const SpreadRows& s, const TileStep& at, TileSums& sums) {
    const int8_t* q = at.x->q + at.column + at.group * kGroup;
    const auto* w = s.low[at.row_tile] + at.group * kGroup / 4;
    const bool two = at.tiles == 2;
    _tile_zero(0);
    _tile_zero(2);
    _tile_loadd(6, w, 64);
    _tile_loadd(4, q, at.cols);
    _tile_dpbssd(0, 4, 6);
    _tile_stored(0, sums.at[0][0], 64);
    if (two) {
      _tile_loadd(5, q + 16 * at.cols, at.cols);
      _tile_dpbssd(2, 5, 6);
      _tile_stored(2, sums.at[1][0], 64);
    }
    if (at.columns < kGroup) return;
    _tile_zero(1);
    _tile_zero(3);
    _tile_loadd(7, w + group / 4, 64);
    _tile_loadd(4, q + group, at.cols);
    _tile_dpbssd(1, 4, 7);
    _tile_stored(1, sums.at[0][1], 64);
    if (two) {
      _tile_loadd(5, q + group + 16 * at.cols, at.cols);
      _tile_dpbssd(3, 5, 7);
      _tile_stored(3, sums.at[1][1], 64);
    }
  }

  static void add(const SpreadRows& s, const TileStep& at, const TileSums& sums) {
    if (at.columns < kGroup)
      add_groups<1>(s, at, sums);
    else
      add_groups<2>(s, at, sums);
  }

 private:
  template <int groups>
  static void add_groups(const SpreadRows& s, const TileStep& at, const TileSums& sums) {
    const int64_t blocks = at.cols / 32, column = at.column + at.group * kGroup;
    const float *d = at.x->d + column / 32, *offsets = at.x->s + column / 32;
    __m512 row_d[groups], row_below[groups];
    for (int n = 0; n < groups; ++n) {
      row_d[n] = _mm512_load_ps(s.d[at.row_tile][2 * at.group + n]);
      if constexpr (offset) row_below[n] = _mm512_load_ps(s.below[at.row_tile][2 * at.group + n]);
    }
    float* to = at.sums;
    for (int64_t tile = 0; tile < at.tiles; ++tile)
      for (int64_t t = 0; t < kTileRows; ++t, to += kProductRows, d += blocks, offsets += blocks) {
        __m512 sum = _mm512_loadu_ps(to);
        for (int n = 0; n < groups; ++n) {
          const int block = n * group / 32;
          __m512 part = _mm512_mul_ps(as_reals(_mm512_load_si512(sums.at[tile][n][t])),
                                      _mm512_mul_ps(row_d[n], _mm512_set1_ps(d[block])));
          if constexpr (offset) part = _mm512_fmadd_ps(row_below[n], _mm512_set1_ps(offsets[block]), part);
          sum = _mm512_add_ps(sum, part);
        }
        _mm512_storeu_ps(to, sum);
      }
  }
};

template <class Kernel>
struct TilesFor;
template <class V, bool mins>
struct TilesFor<SuperKernel<V, mins>> {
  using Tiles = SuperTiles<mins>;
};
template <class V, int group, bool offset>
struct TilesFor<ShortKernel<V, group, offset>> {
  using Tiles = ShortTiles<group, offset>;
};

template <class V, class Tiles>
void spread(const Unpacked& u, int64_t row_tile, SpreadRows& s) {
  spread_codes<V, Tiles::kSplit>(u, row_tile, s);
  spread_words<V>(u.mins[kTileRows * row_tile], sizeof u.mins[0], 8, s.mins[row_tile]);
  spread_words<V>(u.d[kTileRows * row_tile], sizeof u.d[0], kStretch / 16, s.d[row_tile]);
  spread_words<V>(u.below[kTileRows * row_tile], sizeof u.below[0], kStretch / 32, s.below[row_tile]);
  finish_writes();
}

/// A stretch of one tile of rows with all tokens. The sums of a step are added up while the tiles are busy
/// with the next.
template <class Tiles>
void multiply_tiles(const SpreadRows& s, const TokenTiles& x, int64_t column, int64_t columns,
                    int64_t row_tile, float* sums) {
  TileSums buffers[2];
  TileStep before{};
  int64_t steps = 0;
  for (int64_t t = 0; t < x.tokens; t += 2 * kTileRows)
    for (int64_t group = 0; group * Tiles::kGroup < columns; ++group) {
      const TileStep now{x.rows + t,
                         x.tokens - t > kTileRows ? 2 : 1,
                         x.cols,
                         column,
                         group,
                         row_tile,
                         columns - group * Tiles::kGroup,
                         sums + t * kProductRows};
      Tiles::multiply(s, now, buffers[steps % 2]);
      if (steps > 0) Tiles::add(s, before, buffers[(steps - 1) % 2]);
      before = now;
      ++steps;
    }
  Tiles::add(s, before, buffers[(steps - 1) % 2]);
}

/// PackedFormat::product, from the rows of activations: these are there, and rounded to zero, up to a
/// multiple of 16.
template <class V, class Unpack>
void product_in_tiles(const PackedRows& rows, const TokenTiles& x, float* scratch, float* y,
                      int64_t y_stride) {
  using Tiles = typename TilesFor<typename Unpack::Kernel>::Tiles;
  Unpacked u;
  SpreadRows s;
  if (rows.count < kProductRows) __builtin_memset(&u, 0, sizeof u);
  __builtin_memset(scratch, 0, static_cast<size_t>(scratch_size(x.tokens)) * sizeof *scratch);
  const TileUse use{kShapes<Tiles::kColumnsAtOnce>};
  for (int64_t column = 0; column < rows.cols; column += Unpack::kColumns) {
    const int64_t columns = rows.cols - column < Unpack::kColumns ? rows.cols - column : Unpack::kColumns;
    for (int64_t r = 0; r < rows.count; ++r)
      Unpack::unpack(rows.data + r * rows.row_bytes, column, columns, u, r);
    for (int64_t row_tile = 0; row_tile * kTileRows < rows.count; ++row_tile) {
      spread<V, Tiles>(u, row_tile, s);
      multiply_tiles<Tiles>(s, x, column, columns, row_tile, scratch + row_tile * kTileRows);
    }
  }
  for (int64_t t = 0; t < x.tokens; ++t)
    __builtin_memcpy(y + t * y_stride, scratch + t * kProductRows,
                     static_cast<size_t>(rows.count) * sizeof *y);
}

}  // namespace
}  // namespace snug::infer

#pragma once

#include <immintrin.h>

#include "infer/kernels/product.hpp"
#include "infer/kernels/strips.hpp"

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

/// Sums of tokens and rows: [product of tiles][token][row].
struct TileSums {
  alignas(64) int32_t at[8][kTileRows][kTileRows];
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

/// Masked, because gcc 12 takes the plain intrinsics for readers of what was never written.
inline __m512 as_reals(__m512i x) {
  return _mm512_maskz_cvtepi32_ps(0xffff, x);
}

/// Word n of row r becomes word r of row n.
inline void transpose_16(__m512i (&x)[16]) {
  __m512i y[16];
  for (int n = 0; n < 16; n += 2) {
    y[n] = _mm512_maskz_unpacklo_epi32(0xffff, x[n], x[n + 1]);
    y[n + 1] = _mm512_maskz_unpackhi_epi32(0xffff, x[n], x[n + 1]);
  }
  for (int n = 0; n < 16; n += 4)  // then word k of quarters, of rows n to n + 3
    for (int k = 0; k < 2; ++k) {
      x[n + 2 * k] = _mm512_maskz_unpacklo_epi64(0xff, y[n + k], y[n + 2 + k]);
      x[n + 2 * k + 1] = _mm512_maskz_unpackhi_epi64(0xff, y[n + k], y[n + 2 + k]);
    }
  for (int k = 0; k < 4; ++k) {
    const __m512i low = _mm512_maskz_shuffle_i32x4(0xffff, x[k], x[4 + k], 0x88),
                  low_odd = _mm512_maskz_shuffle_i32x4(0xffff, x[k], x[4 + k], 0xdd),
                  high = _mm512_maskz_shuffle_i32x4(0xffff, x[8 + k], x[12 + k], 0x88),
                  high_odd = _mm512_maskz_shuffle_i32x4(0xffff, x[8 + k], x[12 + k], 0xdd);
    y[k] = _mm512_maskz_shuffle_i32x4(0xffff, low, high, 0x88);
    y[4 + k] = _mm512_maskz_shuffle_i32x4(0xffff, low_odd, high_odd, 0x88);
    y[8 + k] = _mm512_maskz_shuffle_i32x4(0xffff, low, high, 0xdd);
    y[12 + k] = _mm512_maskz_shuffle_i32x4(0xffff, low_odd, high_odd, 0xdd);
  }
  for (int n = 0; n < 16; ++n) x[n] = y[n];
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

/// Codes of 32 columns after each other, in place of 16-bit ones: high bytes, then low bytes, or low bytes
/// alone behind a gap.
template <class V, bool split>
inline void spread_codes(const Unpacked& u, int64_t row_tile, SpreadRows& s) {
  constexpr int64_t kWords = 8;
  const int16_t(*rows)[kStretch] = u.w + kTileRows * row_tile;
  if constexpr (!split) {
    spread_words<V>(rows[0] + 16, sizeof rows[0], kStretch / 4, s.low[row_tile], 64);
  } else {
    for (int64_t k = 0; k < kStretch / 4; k += kWords) {
      __m512i words[16];
      for (int r = 0; r < 16; ++r) words[r] = _mm512_load_si512(rows[r] + 4 * k);
      transpose_16(words);
      for (int64_t n = 0; n < kWords; ++n) {
        _mm512_store_si512(s.high[row_tile][k + n], words[n]);
        _mm512_store_si512(s.low[row_tile][k + n], words[kWords + n]);
      }
    }
  }
}

/// Where sums come from and go to: [token][row], rows side by side.
struct SumRows {
  const float* from;
  float* to;
  int64_t from_stride, to_stride;
  __mmask16 rows;  // those that are written
};

/// A stretch of a tile of rows times up to `kTokens` tokens of a Tiles.
struct TileStep {
  const RoundedRow* x;  // of the first token; those of the others follow without a gap
  int64_t tokens, cols, column, columns, row_tile;
  SumRows sums;
};

inline __m512 add_product(__m512 sum, __m512i integers, __m512 scale) {
  return _mm512_fmadd_ps(as_reals(integers), scale, sum);
}

/// Super-blocks: one group of 256 columns; two tiles of tokens share the weights.
template <bool mins>
struct SuperTiles {
  static constexpr bool kSplit = true;
  static constexpr int kColumnsAtOnce = 64;
  static constexpr int64_t kTokens = 2 * kTileRows, kColumns = 256;

  static void multiply(const SpreadRows& s, const TileStep& at, TileSums& sums) {
    const int8_t* q = at.x->q + at.column;
    const bool two = at.tokens > kTileRows;
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
    _tile_stored(0, sums.at[0], 64);
    _tile_stored(1, sums.at[1], 64);
    if (!two) return;
    _tile_stored(2, sums.at[2], 64);
    _tile_stored(3, sums.at[3], 64);
  }

  static void add(const SpreadRows& s, const TileStep& at, const TileSums& sums) {
    add_tile(s, at, sums.at, 0, at.tokens < kTileRows ? at.tokens : kTileRows);
    if (at.tokens > kTileRows) add_tile(s, at, sums.at + 2, kTileRows, at.tokens - kTileRows);
  }

 private:
  /// `tokens` of them from `first` on: high sums, then low ones.
  static void add_tile(const SpreadRows& s, const TileStep& at, const int32_t (*sums)[kTileRows][kTileRows],
                       int64_t first, int64_t tokens) {
    const int64_t block = at.column / 256, blocks = at.cols / 256;
    const __m512 row_d = _mm512_load_ps(s.d[at.row_tile][0]);
    const float *d = at.x->d + block + first * blocks, *from = at.sums.from + first * at.sums.from_stride;
    const int16_t* below = at.x->sums + 16 * (block + first * blocks);
    const int32_t* integers = sums[0][0];
    float* to = at.sums.to + first * at.sums.to_stride;
    for (int64_t t = 0; t < tokens; ++t) {
      const __m512i high = _mm512_load_si512(integers),
                    low = _mm512_load_si512(integers + kTileRows * kTileRows);
      const __m512 by = _mm512_set1_ps(*d);
      __m512 sum =
          add_product(_mm512_loadu_ps(from), _mm512_add_epi32(_mm512_maskz_slli_epi32(0xffff, high, 7), low),
                      _mm512_mul_ps(row_d, by));
      if constexpr (mins) sum = less_minima(sum, s, at.row_tile, below, by);
      _mm512_mask_storeu_ps(to, at.sums.rows, sum);
      integers += kTileRows;
      d += blocks;
      below += 16 * blocks;
      from += at.sums.from_stride;
      to += at.sums.to_stride;
    }
  }

  static __m512 less_minima(__m512 sum, const SpreadRows& s, int64_t row_tile, const int16_t* sums,
                            __m512 d) {
    __m512i integers[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (int64_t k = 0; k < 8; ++k) {
      int32_t pair;
      __builtin_memcpy(&pair, sums + 2 * k, sizeof pair);
      integers[k % 2] = _mm512_dpwssd_epi32(integers[k % 2], _mm512_load_si512(s.mins[row_tile][k]),
                                            _mm512_set1_epi32(pair));
    }
    return _mm512_fnmadd_ps(as_reals(_mm512_add_epi32(integers[0], integers[1])),
                            _mm512_mul_ps(_mm512_load_ps(s.below[row_tile][0]), d), sum);
  }
};

/// Groups of `group` columns with a scale each.
template <int group, bool offset>
struct ShortTiles {
  static constexpr bool kSplit = false;
  static constexpr int kColumnsAtOnce = group;
  static constexpr int64_t kTokens = kTileRows, kGroups = 8, kColumns = kGroups * group;

  static void multiply(const SpreadRows& s, const TileStep& at, TileSums& sums) {
    const int8_t* q = at.x->q + at.column;
    const auto* w = s.low[at.row_tile] + at.column % kStretch / 4;
    for (int64_t g = 0; g * group < at.columns; g += 2) {
      _tile_zero(0);
      _tile_loadd(4, q + g * group, at.cols);
      _tile_loadd(6, w + g * group / 4, 64);
      _tile_dpbssd(0, 4, 6);
      _tile_stored(0, sums.at[g], 64);
      if ((g + 1) * group == at.columns) break;
      _tile_zero(1);
      _tile_loadd(5, q + (g + 1) * group, at.cols);
      _tile_loadd(7, w + (g + 1) * group / 4, 64);
      _tile_dpbssd(1, 5, 7);
      _tile_stored(1, sums.at[g + 1], 64);
    }
  }

  static void add(const SpreadRows& s, const TileStep& at, const TileSums& sums) {
    if (at.columns == kColumns)
      add_groups<kGroups>(s, at, sums);
    else
      add_groups<0>(s, at, sums);
  }

 private:
  /// `known` groups, or as many as there are where that is 0.
  template <int64_t known>
  static void add_groups(const SpreadRows& s, const TileStep& at, const TileSums& sums) {
    const int64_t count = known ? known : at.columns / group, blocks = at.cols / 32;
    const float(*row_d)[kTileRows] = s.d[at.row_tile] + at.column % kStretch / group;
    const float(*row_below)[kTileRows] = s.below[at.row_tile] + at.column % kStretch / group;
    const float *d = at.x->d + at.column / 32, *offsets = at.x->s + at.column / 32, *from = at.sums.from;
    float* to = at.sums.to;
    for (int64_t t = 0; t < at.tokens; ++t) {
      __m512 sum = _mm512_loadu_ps(from);
      for (int64_t n = 0; n < count; ++n) {
        const int64_t block = n * group / 32;
        sum = add_product(sum, _mm512_load_si512(sums.at[n][t]),
                          _mm512_mul_ps(_mm512_load_ps(row_d[n]), _mm512_set1_ps(d[block])));
        if constexpr (offset)
          sum = _mm512_fmadd_ps(_mm512_load_ps(row_below[n]), _mm512_set1_ps(offsets[block]), sum);
      }
      _mm512_mask_storeu_ps(to, at.sums.rows, sum);
      d += blocks;
      offsets += blocks;
      from += at.sums.from_stride;
      to += at.sums.to_stride;
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
}

alignas(64) inline constexpr float kNoSums[kTileRows] = {};

/// Sums start at nothing, wait in `scratch` [token][kProductRows] and end in y.
struct Sums {
  float *scratch, *y;
  int64_t y_stride, rows;

  SumRows at(int64_t token, int64_t row_tile, bool first, bool last) const {
    const int64_t row = row_tile * kTileRows, left = rows - row;
    float* waiting = scratch + token * kProductRows + row;
    const auto some = static_cast<__mmask16>((1 << (left < kTileRows ? left : kTileRows)) - 1);
    return {first ? kNoSums : waiting, last ? y + token * y_stride + row : waiting, first ? 0 : kProductRows,
            last ? y_stride : kProductRows, last ? some : static_cast<__mmask16>(0xffff)};
  }
};

/// A stretch of rows with all tokens. The sums of a step are added up while the tiles are busy with the next.
template <class Tiles>
void multiply_tiles(const SpreadRows& s, const TokenTiles& x, int64_t column, int64_t columns,
                    const Sums& sums) {
  TileSums buffers[2];
  TileStep before{};
  int64_t steps = 0;
  const bool first = column == 0, last = column + columns == x.cols;
  for (int64_t t = 0; t < x.tokens; t += Tiles::kTokens)
    for (int64_t tile = 0; tile * kTileRows < sums.rows; ++tile) {
      const TileStep now{x.rows + t,
                         x.tokens - t < Tiles::kTokens ? x.tokens - t : Tiles::kTokens,
                         x.cols,
                         column,
                         columns,
                         tile,
                         sums.at(t, tile, first, last)};
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
  const TileUse use{kShapes<Tiles::kColumnsAtOnce>};
  for (int64_t column = 0; column < rows.cols; column += Unpack::kColumns) {
    const int64_t columns = rows.cols - column < Unpack::kColumns ? rows.cols - column : Unpack::kColumns;
    for (int64_t r = 0; r < rows.count; ++r)
      Unpack::unpack(rows.data + r * rows.row_bytes, column, columns, u, r);
    for (int64_t tile = 0; tile * kTileRows < rows.count; ++tile) spread<V, Tiles>(u, tile, s);
    finish_writes();
    for (int64_t k = 0; k < columns; k += Tiles::kColumns)
      multiply_tiles<Tiles>(s, x, column + k, columns - k < Tiles::kColumns ? columns - k : Tiles::kColumns,
                            {scratch, y, y_stride, rows.count});
  }
}

}  // namespace
}  // namespace snug::infer

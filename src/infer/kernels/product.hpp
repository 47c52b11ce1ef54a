#pragma once

#include "infer/kernels/dot.hpp"

// Matrix products: a stretch of up to 256 columns of some rows is unpacked to 16 bits (codes times the scale
// of their sub-block, exactly), then multiplied with all tokens, eight of them side by side in a register.
// All formats end in the same three kernels, so that prompt speed hardly depends on the format.

namespace snug::infer {
namespace {

constexpr int64_t kStretch = 256;  // columns
constexpr int64_t kRowsAtOnce = 4, kTilesAtOnce = 2;

/// A stretch of unpacked rows. Which parts are used follows from the kernel.
struct Unpacked {
  alignas(64) int16_t w[kProductRows][kStretch];
  alignas(32) int16_t mins[kProductRows][16];
  float d[kProductRows][kStretch / 16];      // of each group of columns
  float below[kProductRows][kStretch / 32];  // dmin, or the offset of each 32
};

/// Where a kernel stands: the stretch begins at `column`, has `columns`, is the first of its rows.
struct Place {
  const TokenTiles& x;
  int64_t column, columns, rows, tile;
  float* sums;  // [tile][kProductRows][token]

  float* sum(int64_t t, int64_t row) const { return sums + ((tile + t) * kProductRows + row) * kTileTokens; }
};

/// sum += factor by
template <class V>
inline void add_to(float* sum, typename V::f32 factor, typename V::f32 by) {
  V::store(sum, V::fma(factor, by, V::load(sum)));
}

/// 32-bit sums of `count` pairs of columns of R rows with T tiles.
template <class V, int R, int T>
struct IntegerTile {
  typename V::i sum[R][T];

  inline void run(const int16_t* w, int64_t w_stride, const int16_t* x, int64_t x_stride, int64_t count) {
    for (int r = 0; r < R; ++r)
      for (int t = 0; t < T; ++t) sum[r][t] = V::zero_i();
    for (int64_t p = 0; p < count; ++p) {
      typename V::w in[T];
      for (int t = 0; t < T; ++t) in[t] = V::load_w(x + t * x_stride + p * 2 * kTileTokens);
      for (int r = 0; r < R; ++r) {
        const auto weight = V::splat_pair(w + r * w_stride + 2 * p);
        for (int t = 0; t < T; ++t) sum[r][t] = V::add_pairs(sum[r][t], weight, in[t]);
      }
    }
  }
};

/// The same for 16 columns of which the last eight weights are the first again, two by two.
template <class V, int R, int T>
struct FoldedTile {
  typename V::i sum[R][T];

  inline void run(const int16_t* w, int64_t w_stride, const int16_t* x, int64_t x_stride) {
    for (auto& of_row : sum)
      for (auto& s : of_row) s = V::zero_i();
    for (int64_t p = 0; p < 4; ++p) {
      typename V::w in[T];
      for (int t = 0; t < T; ++t) {
        const int16_t* at = x + t * x_stride + p * 2 * kTileTokens;
        in[t] = V::add_w(V::load_w(at), V::load_w(at + 8 * kTileTokens));
      }
      for (int r = 0; r < R; ++r) {
        const auto weight = V::splat_pair(w + r * w_stride + 2 * p);
        for (int t = 0; t < T; ++t) sum[r][t] = V::add_pairs(sum[r][t], weight, in[t]);
      }
    }
  }
};

/// Super-blocks: one group of 256 columns, and minima.
template <class V, bool mins>
struct SuperKernel {
  template <int R, int T>
  static void run(const Unpacked& u, const Place& at, int64_t row) {
    const int64_t block = at.column / 256, tile_q = at.x.cols * kTileTokens,
                  tile_d = at.x.cols / 256 * kTileTokens;
    const float* d = at.x.d + at.tile * tile_d + block * kTileTokens;
    IntegerTile<V, R, T> tile;
    tile.run(u.w[row], kStretch, at.x.q + at.tile * tile_q + at.column * kTileTokens, tile_q, 128);
    for (int r = 0; r < R; ++r)
      for (int t = 0; t < T; ++t)
        add_to<V>(at.sum(t, row + r), V::real(tile.sum[r][t]),
                  V::splat(u.d[row + r][0]) * V::load(d + t * tile_d));
    if constexpr (mins) {
      const int64_t tile_sums = tile_q / 16;
      tile.run(u.mins[row], 16, at.x.sums + at.tile * tile_sums + block * 16 * kTileTokens, tile_sums, 8);
      for (int r = 0; r < R; ++r)
        for (int t = 0; t < T; ++t)
          add_to<V>(at.sum(t, row + r), -V::real(tile.sum[r][t]),
                    V::splat(u.below[row + r][0]) * V::load(d + t * tile_d));
    }
  }
};

/// Groups of `group` columns with a scale each; activations in blocks of 32.
template <class V, int group, bool offset>
struct ShortKernel {
  template <int R, int T>
  static void run(const Unpacked& u, const Place& at, int64_t row) {
    const int64_t tile_q = at.x.cols * kTileTokens, tile_d = tile_q / 32;
    const int16_t* q = at.x.q + at.tile * tile_q + at.column * kTileTokens;
    const float* d = at.x.d + at.tile * tile_d + at.column / 32 * kTileTokens;
    const float* s = at.x.s + at.tile * tile_d + at.column / 32 * kTileTokens;
    IntegerTile<V, R, T> tile;
    for (int64_t g = 0; g < at.columns / group; ++g) {
      const int64_t block = g * group / 32 * kTileTokens;
      tile.run(u.w[row] + g * group, kStretch, q + g * group * kTileTokens, tile_q, group / 2);
      for (int r = 0; r < R; ++r)
        for (int t = 0; t < T; ++t) {
          const auto scale = V::splat(u.d[row + r][g]) * V::load(d + t * tile_d + block);
          float* sum = at.sum(t, row + r);
          add_to<V>(sum, V::real(tile.sum[r][t]), scale);
          if constexpr (offset)
            add_to<V>(sum, V::splat(u.below[row + r][g]), V::load(s + t * tile_d + block));
        }
    }
  }
};

/// f32 weights and activations; the stretch holds half as many columns.
template <class V>
struct RealKernel {
  template <int R, int T>
  static void run(const Unpacked& u, const Place& at, int64_t row) {
    const int64_t tile_x = at.x.cols * kTileTokens;
    const float* x = at.x.x + at.tile * tile_x + at.column * kTileTokens;
    const float* w = reinterpret_cast<const float*>(u.w[row]);
    typename V::f32 sum[R][T];
    for (int r = 0; r < R; ++r)
      for (int t = 0; t < T; ++t) sum[r][t] = V::load(at.sum(t, row + r));
    for (int64_t k = 0; k < at.columns; ++k) {
      typename V::f32 in[T];
      for (int t = 0; t < T; ++t) in[t] = V::load(x + t * tile_x + k * kTileTokens);
      for (int r = 0; r < R; ++r) {
        const auto weight = V::splat(w[r * (kStretch / 2) + k]);
        for (int t = 0; t < T; ++t) sum[r][t] = V::fma(weight, in[t], sum[r][t]);
      }
    }
    for (int r = 0; r < R; ++r)
      for (int t = 0; t < T; ++t) V::store(at.sum(t, row + r), sum[r][t]);
  }
};

/// A stretch of rows with every tile. Rows are padded to a multiple of kRowsAtOnce with whatever is there.
template <class V, class Kernel, class Activations>
void multiply_stretch(const Activations& u, Place at) {
  for (at.tile = 0; at.tile < at.x.tiles();) {
    const bool two = at.tile + kTilesAtOnce <= at.x.tiles();
    for (int64_t row = 0; row < at.rows; row += kRowsAtOnce) {
      if (two)
        Kernel::template run<kRowsAtOnce, kTilesAtOnce>(u, at, row);
      else
        Kernel::template run<kRowsAtOnce, 1>(u, at, row);
    }
    at.tile += two ? kTilesAtOnce : 1;
  }
}

/// sums [tile][row][token] to y[token * y_stride + row]
template <class V>
void write_out(const float* sums, int64_t rows, int64_t tokens, float* y, int64_t y_stride) {
  for (int64_t first = 0; first < tokens; first += kTileTokens, sums += kProductRows * kTileTokens)
    for (int64_t row = 0; row < rows; row += 8) {
      typename V::f32 part[8];
      for (int k = 0; k < 8; ++k) part[k] = V::load(sums + (row + k) * kTileTokens);
      V::transpose(part);
      const int64_t count = tokens - first < kTileTokens ? tokens - first : kTileTokens;
      for (int64_t t = 0; t < count; ++t) {
        float* to = y + (first + t) * y_stride + row;
        if (row + 8 <= rows) {
          V::store(to, part[t]);
        } else {
          float some[8];
          V::store(some, part[t]);
          for (int64_t k = 0; k < rows - row; ++k) to[k] = some[k];
        }
      }
    }
}

// --- unpacking
// ----------------------------------------------------------------------------------------------

template <class V, class Codes>
struct UnpackSuper {
  using Kernel = SuperKernel<V, Codes::kMins>;
  static constexpr int64_t kColumns = 256;

  static void unpack(const std::byte* row, int64_t column, int64_t, Unpacked& u, int64_t r) {
    const Codes c{reinterpret_cast<const typename Codes::Block*>(row)[column / 256]};
    const typename V::w scales = c.scales();
    each_of_8([&]<int k>() {
      auto q = c.template codes<k>();
      if constexpr (Codes::kSigned) q = c.template with_signs<k>(q);
      if constexpr (Codes::kBias != 0) q = V::sub_b(q, V::splat_byte(Codes::kBias));
      V::store_products(u.w[r] + 32 * k, q, V::template pair_of<k>(scales));
    });
    u.d[r][0] = c.d();
    if constexpr (Codes::kMins) {
      V::store_w(u.mins[r], c.mins());
      u.below[r][0] = c.dmin();
    }
  }
};

template <class V, class Codes>
struct UnpackShort {
  using Kernel = ShortKernel<V, Codes::kHalves ? 16 : 32, Codes::kOffset>;
  static constexpr int64_t kColumns = kStretch;

  static void unpack(const std::byte* row, int64_t column, int64_t columns, Unpacked& u, int64_t r) {
    constexpr int64_t weights = 32 * Codes::kGroups;
    const auto* blocks = reinterpret_cast<const typename Codes::Block*>(row) + column / weights;
    for (int64_t b = 0; b < columns / weights; ++b) {
      const Codes c{blocks[b]};
      for (int g = 0; g < Codes::kGroups; ++g) {
        const int64_t group = b * Codes::kGroups + g;
        V::store_wide(u.w[r] + 32 * group, c.codes(g));
        if constexpr (Codes::kHalves) {
          u.d[r][2 * group] = c.d(2 * g);
          u.d[r][2 * group + 1] = c.d(2 * g + 1);
        } else {
          u.d[r][group] = c.d(g);
        }
        if constexpr (Codes::kOffset) u.below[r][group] = c.m(g);
      }
    }
  }
};

template <class V, class Read>
struct UnpackReal {
  using Kernel = RealKernel<V>;
  static constexpr int64_t kColumns = kStretch / 2;

  static void unpack(const std::byte* row, int64_t column, int64_t columns, Unpacked& u, int64_t r) {
    const auto* from = reinterpret_cast<const typename Read::Value*>(row) + column;
    float* to = reinterpret_cast<float*>(u.w[r]);
    int64_t k = 0;
    for (; k + 8 <= columns; k += 8) V::store(to + k, Read::eight(from + k));
    if (k < columns) V::store(to + k, read_some<V, Read>(from + k, columns - k));
  }
};

template <class V, class Unpack>
void product(const PackedRows& rows, const TokenTiles& x, float* scratch, float* y, int64_t y_stride) {
  Unpacked u;
  for (int64_t r = rows.count; r % kRowsAtOnce != 0; ++r) {  // rows that are not there are zeros
    __builtin_memset(u.w[r], 0, sizeof u.w[r]);
    __builtin_memset(u.mins[r], 0, sizeof u.mins[r]);
    __builtin_memset(u.d[r], 0, sizeof u.d[r]);
    __builtin_memset(u.below[r], 0, sizeof u.below[r]);
  }
  for (int64_t k = 0; k < x.tiles() * kProductRows * kTileTokens; ++k) scratch[k] = 0;
  Place at{x, 0, 0, rows.count, 0, scratch};
  for (; at.column < rows.cols; at.column += Unpack::kColumns) {
    at.columns = rows.cols - at.column < Unpack::kColumns ? rows.cols - at.column : Unpack::kColumns;
    for (int64_t r = 0; r < rows.count; ++r)
      Unpack::unpack(rows.data + r * rows.row_bytes, at.column, at.columns, u, r);
    multiply_stretch<V, typename Unpack::Kernel>(u, at);
  }
  write_out<V>(scratch, rows.count, x.tokens, y, y_stride);
}

}  // namespace
}  // namespace snug::infer

#pragma once

#include <type_traits>
#include <utility>

#include "infer/kernels/codes_iq.hpp"
#include "infer/kernels/product.hpp"

// Matrix products of super-blocks whose codes are small unsigned bytes: products of bytes are added in pairs,
// and as many of these in 16 bits as fit, before the scale of the sub-block multiplies them. Half as many
// instructions as with codes times scales in 16 bits (product.hpp), the same integers.

namespace snug::infer {
namespace {

/// A stretch of rows: codes, scales twice side by side, and what is subtracted: minima, or scales where codes
/// are biased.
struct UnpackedBytes {
  alignas(32) uint8_t codes[kProductRows][kStretch];
  alignas(32) int16_t scales[kProductRows][kStretch / 16][2];
  alignas(32) int16_t mins[kProductRows][16];
  float d[kProductRows], below[kProductRows];
};

/// 32-bit sums of codes times scales of R rows with T tiles.
template <class V, class Bytes, int R, int T>
struct ByteTile {
  typename V::i sum[R][T];

  inline void run(const UnpackedBytes& u, int64_t row, const int8_t* x, int64_t x_stride) {
    for (auto& of_row : sum)
      for (auto& s : of_row) s = V::zero_i();
    for (int64_t column = 0; column < kStretch; column += 4 * kChain) {
      const int8_t* at = x + column * kTileTokens;
      typename V::w part[R][T];
      [&]<int... k>(std::integer_sequence<int, k...>) {
        (products<k == 0>(u, row, column + 4 * k, at + 4 * k * kTileTokens, x_stride, part), ...);
      }
      (std::make_integer_sequence<int, kChain>{});
      for (int r = 0; r < R; ++r) {
        const auto scale = V::splat_pair(u.scales[row + r][column / Bytes::kGroup]);
        for (int t = 0; t < T; ++t) sum[r][t] = V::add_pairs(sum[r][t], part[r][t], scale);
      }
    }
  }

 private:
  // Pairs of products that fit 16 bits, and how many are added before a scale multiplies them.
  static constexpr int kMost = 32767 / (2 * 127 * Bytes::kLargest);
  static constexpr int kChain = kMost >= 4 ? 4 : kMost >= 2 ? 2 : 1;

  template <bool first>
  static inline void products(const UnpackedBytes& u, int64_t row, int64_t column, const int8_t* x,
                              int64_t x_stride, typename V::w (&part)[R][T]) {
    typename V::b in[T];
    for (int t = 0; t < T; ++t) in[t] = V::load_b(x + t * x_stride);
    for (int r = 0; r < R; ++r) {
      const auto codes = V::splat_four(u.codes[row + r] + column);
      for (int t = 0; t < T; ++t) {
        const auto product = V::multiply(codes, in[t]);
        part[r][t] = first ? product : V::add_w(part[r][t], product);
      }
    }
  }
};

template <class V, class Codes>
struct ByteKernel {
  using Bytes = typename Codes::Bytes;
  template <int R, int T>
  using Below = std::conditional_t<Bytes::kGroup == 32, FoldedTile<V, R, T>, IntegerTile<V, R, T>>;

  template <int R, int T>
  static void run(const UnpackedBytes& u, const Place& at, int64_t row) {
    const int64_t block = at.column / 256, tile_q = at.x.cols * kTileTokens, tile_d = tile_q / 256,
                  tile_sums = tile_q / 16;
    const float* d = at.x.d + at.tile * tile_d + block * kTileTokens;
    ByteTile<V, Bytes, R, T> tile;
    tile.run(u, row, at.x.bytes + at.tile * tile_q + at.column * kTileTokens, tile_q);
    Below<R, T> below;
    if constexpr (Codes::kMins || Bytes::kBias != 0) {
      const int16_t* sums = at.x.sums + at.tile * tile_sums + block * 16 * kTileTokens;
      if constexpr (Bytes::kGroup == 32)
        below.run(u.mins[row], 16, sums, tile_sums);
      else
        below.run(u.mins[row], 16, sums, tile_sums, 8);
    }
    for (int r = 0; r < R; ++r)
      for (int t = 0; t < T; ++t) {
        auto sum = tile.sum[r][t];
        if constexpr (Bytes::kBias != 0) sum = V::sub_i(sum, V::times(below.sum[r][t], Bytes::kBias));
        float* to = at.sum(t, row + r);
        add_to<V>(to, V::real(sum), V::splat(u.d[row + r]) * V::load(d + t * tile_d));
        if constexpr (Codes::kMins)
          add_to<V>(to, -V::real(below.sum[r][t]), V::splat(u.below[row + r]) * V::load(d + t * tile_d));
      }
  }
};

template <class V, class Codes>
void unpack_bytes(const std::byte* row, int64_t column, UnpackedBytes& u, int64_t r) {
  using Bytes = typename Codes::Bytes;
  const Codes c{reinterpret_cast<const typename Codes::Block*>(row)[column / 256]};
  const typename V::w scales = c.scales();
  each_of_8([&]<int k>() {
    auto q = c.template codes<k>();
    if constexpr (Codes::kSigned)
      q = V::add_b(c.template with_signs<k>(q), V::splat_byte(Bytes::kBias));
    V::store_b(u.codes[r] + 32 * k, q);
  });
  alignas(32) int16_t of_halves[16];
  V::store_w(of_halves, scales);
  for (int64_t g = 0; g < kStretch / Bytes::kGroup; ++g) {
    const int64_t half = g * Bytes::kGroup / 16;
    u.scales[r][g][0] = u.scales[r][g][1] = of_halves[half / 2 + half % 2 * 8];
  }
  u.d[r] = c.d();
  if constexpr (Codes::kMins) {
    V::store_w(u.mins[r], c.mins());
    u.below[r] = c.dmin();
  } else {
    V::store_w(u.mins[r], scales);
  }
}

/// PackedFormat::product from TokenTiles::bytes.
template <class V, class Codes>
void product_of_bytes(const PackedRows& rows, const TokenTiles& x, float* scratch, float* y,
                      int64_t y_stride) {
  UnpackedBytes u;
  if (rows.count % kRowsAtOnce != 0) __builtin_memset(&u, 0, sizeof u);
  for (int64_t k = 0; k < x.tiles() * kProductRows * kTileTokens; ++k) scratch[k] = 0;
  Place at{x, 0, kStretch, rows.count, 0, scratch};
  for (; at.column < rows.cols; at.column += kStretch) {
    for (int64_t r = 0; r < rows.count; ++r)
      unpack_bytes<V, Codes>(rows.data + r * rows.row_bytes, at.column, u, r);
    multiply_stretch<V, ByteKernel<V, Codes>>(u, at);
  }
  write_out<V>(scratch, rows.count, x.tokens, y, y_stride);
}

}  // namespace
}  // namespace snug::infer

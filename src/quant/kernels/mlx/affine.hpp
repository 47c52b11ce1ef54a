#pragma once

#include "quant/kernels/decode_blocks.hpp"
#include "quant/kernels/kernels.hpp"
#include "quant/kernels/mlx/affine_formats.hpp"
#include "quant/kernels/whole.hpp"

// What the kernels of MLX's affine formats share: codes as a stream of bits, and scales stored in 16 bits.

namespace snug {

/// Where lane k's code lies in what raw_codes() loads.
template <int bits>
inline constexpr auto kCodeShifts = [] {
  struct {
    int32_t at[8];
  } shifts{};
  for (int k = 0; k < 8; ++k) shifts.at[k] = bits <= 4 ? bits * k : bits * (k % 4) + (k < 4 ? 0 : 4 * bits % 8);
  return shifts;
}();

/// The eight codes that start at p, other bits above them. Up to two bytes behind them are read: a scale.
template <Simd V, int bits>
typename V::i32 raw_codes(const uint8_t* p) noexcept {
  if constexpr (bits == 8) return V::load_u8(p);
  auto words = V::splat_i(static_cast<int32_t>(u32_at(p)));
  if constexpr (bits > 4) {
    const auto second = V::splat_i(static_cast<int32_t>(u32_at(p + bits / 2)));  // where the fifth code begins
    words = V::select(V::lt_i(V::iota_i(), V::splat_i(4)), words, second);
  }
  return V::shrv(words, V::load_i(kCodeShifts<bits>.at));
}
template <Simd V, int bits>
typename V::i32 load_codes(const uint8_t* p) noexcept {
  return raw_codes<V, bits>(p) & V::splat_i((1 << bits) - 1);
}

template <Simd V, int bits>
void store_codes(uint8_t* p, typename V::i32 codes) noexcept {
  if constexpr (bits == 8) {
    V::store_u8(p, codes);
  } else {
    constexpr auto place = [](int lane) { return bits * lane < 32 ? 1 << bits * lane : 0; };
    constexpr int32_t eight[8] = {place(0), place(1), place(2), place(3), place(4), place(5), place(6), place(7)};
    constexpr int32_t first[8] = {eight[0], eight[1], eight[2], eight[3]};
    constexpr int32_t last[8] = {0, 0, 0, 0, eight[0], eight[1], eight[2], eight[3]};
    const auto sum = [&](const int32_t* places) {  // of codes moved to their places, which do not overlap
      return static_cast<uint32_t>(V::sum_i(codes * V::load_i(places)));
    };
    uint64_t all = 0;
    if constexpr (bits <= 4)
      all = sum(eight);
    else
      all = sum(first) | static_cast<uint64_t>(sum(last)) << 4 * bits;
    std::memcpy(p, &all, bits);
  }
}

/// A vector of each of eight groups, for what is to be said of each group: that of group k in lane k.
template <Simd V>
struct Eight {
  typename V::f32 of[8];

  typename V::f32 largest() const noexcept {
    auto rows = turned();
    for (int k = 1; k < 8; ++k) rows.of[0] = V::max(rows.of[0], rows.of[k]);
    return rows.of[0];
  }
  typename V::f32 least() const noexcept {
    auto rows = turned();
    for (int k = 1; k < 8; ++k) rows.of[0] = V::min(rows.of[0], rows.of[k]);
    return rows.of[0];
  }

 private:
  Eight turned() const noexcept {
    Eight rows = *this;
    V::transpose(rows.of);
    return rows;
  }
};

/// 32 codes that follow each other. Up to three bytes behind them are overwritten.
template <Simd V, int bits>
void store_32_codes(uint8_t* p, const typename V::i32 (&codes)[4]) noexcept {
  if constexpr (bits == 8) {
    for (int k = 0; k < 4; ++k) V::store_u8(p + 8 * k, codes[k]);
  } else {
    constexpr int32_t one = ((1 << bits) - 1) * 0x00010001, two = (1 << 2 * bits) - 1;
    int32_t four_each[8];
    V::store_i8x32(reinterpret_cast<int8_t*>(four_each), codes[0], codes[1], codes[2], codes[3]);
    auto x = V::load_i(four_each);  // the four bytes of a lane are drawn together, then two lanes
    x = (x & V::splat_i(one)) | (V::template shr<8 - bits>(x) & V::splat_i(one << bits));
    x = (x & V::splat_i(two)) | (V::template shr<16 - 2 * bits>(x) & V::splat_i(two << 2 * bits));
    V::store_i(four_each, x);
    for (int k = 0; k < 4; ++k) {
      const uint64_t eight = static_cast<uint64_t>(static_cast<uint32_t>(four_each[2 * k])) |
                             static_cast<uint64_t>(static_cast<uint32_t>(four_each[2 * k + 1])) << 4 * bits;
      std::memcpy(p + bits * k, &eight, bits == 2 ? 2 : bits <= 4 ? 4 : 8);
    }
  }
}

/// Rounding to 16-bit floats as scales and biases are stored.
template <Simd V, ScaleType type>
struct Stored {
  static constexpr uint16_t kLargest = type == ScaleType::f16 ? 0x7bff : 0x7f7f;

  static float value(uint16_t bits) noexcept { return stored_scale<V, type>(bits); }
  /// To nearest even; infinite where x is too large.
  static uint16_t nearest(float x) noexcept {
    if constexpr (type == ScaleType::f16) return V::to_half(x);
    const uint32_t u = bits_of_float(x);
    return static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16);
  }
  /// The nearest finite one.
  static uint16_t nearest_finite(float x) noexcept {
    const float largest = value(kLargest);
    return nearest(x < -largest ? -largest : x > largest ? largest : x);
  }
  /// So many steps further from zero; the same where that is not possible.
  static uint16_t further(uint16_t bits, int steps) noexcept {
    const int magnitude = (bits & 0x7fff) + steps;
    return static_cast<uint16_t>(magnitude < 0 || magnitude > kLargest ? bits : (bits & 0x8000) | magnitude);
  }
};

/// To the nearest whole number, |a| < 2^22; halves to even or away from zero.
template <Simd V, bool away>
typename V::f32 whole(typename V::f32 a) noexcept {
  const auto even = nearest<V>(a);
  if constexpr (!away) return even;
  const auto left = a - even;  // exact
  const auto one = V::splat(1), half = V::splat(0.5f);
  const auto up = V::eq(left, half) & V::lt(V::zero(), a), down = V::eq(left, -half) & V::lt(a, V::zero());
  return V::select(up, even + one, V::select(down, even - one, even));
}

template <Simd V, class Block>
void decode_affine(const void* blocks, int64_t cols, float* row) noexcept {
  constexpr int bits = Block::kBits;
  using Number = Stored<V, Block::kType>;
  decode_blocks<Block, static_cast<int>(Block::kWeights)>(blocks, cols, row, [](const Block& b, float* y) {
    const auto scale = V::splat(Number::value(b.scale)), bias = V::splat(Number::value(b.bias));
    if constexpr (bits <= 3) {
      const auto levels = scale * V::to_f(V::iota_i() & V::splat_i((1 << bits) - 1)) + bias;
      for (uint32_t j = 0; j < Block::kWeights; j += 8)
        V::store(y + j, V::permute(levels, raw_codes<V, bits>(b.codes + j * bits / 8)));
    } else {
      for (uint32_t j = 0; j < Block::kWeights; j += 8)
        V::store(y + j, scale * V::to_f(load_codes<V, bits>(b.codes + j * bits / 8)) + bias);
    }
  });
}

}  // namespace snug

#pragma once

#include "infer/kernels/lanes.hpp"
#include "infer/kernels/tables.hpp"
#include "quant/blocks.hpp"
#include "quant/codebooks/codebooks.hpp"
#include "quant/kernels/bits.hpp"

// What the codes of a block are as bytes, format by format.
//
// Formats of 256 weights (a super-block) are
//   y[i] = d scale[i / 16] (code[i] - kBias), minus dmin min[i / 16] where kMins
// with codes<k>() the 32 bytes of weights 32k.. , unsigned and small enough for multiply(); with kSigned they
// are magnitudes and with_signs<k>(x) gives their signs to x. Scales and minima are as V::scales8 makes them
// where 32 weights share one (kWhole), else as V::scales16 does.
//
// Shorter formats are y[i] = d code[i], or d code[i] + m with kOffset (unsigned codes then, else i8), in
// groups of 32 weights that have a d each, or two with kHalves.
//
// kFormat is the format; a list at the end of each file is what its family brings to the table (all.hpp).

namespace snug::infer {
namespace {

inline uint64_t load_u64(const void* p) {
  uint64_t out;
  __builtin_memcpy(&out, p, sizeof out);
  return out;
}

inline constexpr uint64_t kEachByte = 0x0101010101010101u;

/// Nibbles of four bytes as eight bytes, low nibble first.
inline uint64_t spread_nibbles(uint32_t x) {
  uint64_t y = (x | static_cast<uint64_t>(x) << 16) & 0x0000ffff0000ffffu;
  y = (y | y << 8) & 0x00ff00ff00ff00ffu;
  return (y | y << 4) & 0x0f0f0f0f0f0f0f0fu;
}

/// Pairs of bits of two bytes as eight bytes.
inline uint64_t spread_pairs(uint32_t x) {
  uint64_t y = (x | static_cast<uint64_t>(x) << 24) & 0x000000ff000000ffu;
  y = (y | y << 12) & 0x000f000f000f000fu;
  return (y | y << 6) & 0x0303030303030303u;
}

template <class... Codes>
struct CodesList {};

/// Of formats whose codes are small unsigned bytes, code + kBias where they have signs (product_bytes.hpp).
/// kLargest: of those; kGroup: columns to a scale.
template <int largest, int group, int bias>
struct SmallBytes {
  static constexpr int kLargest = largest, kGroup = group, kBias = bias;
};

template <class V, int n>
typename V::b masked_shift_right(typename V::b x, int mask) {
  return V::and_b(V::template shift_right<n>(x), V::splat_byte(mask));
}

// --- K formats and ternary ones
// -----------------------------------------------------------------------------

template <class V>
struct CodesQ2K {
  using Block = BlockQ2_K;
  static constexpr FormatId kFormat = FormatId::q2_K;
  using Bytes = SmallBytes<3, 16, 0>;
  static constexpr int kBias = 0;
  static constexpr bool kSigned = false, kMins = true, kWhole = false;
  const Block& block;

  float d() const { return V::half(block.d); }
  float dmin() const { return V::half(block.dmin); }
  typename V::w scales() const { return nibble_scales<0>(); }
  typename V::w mins() const { return nibble_scales<4>(); }
  template <int k>
  typename V::b codes() const {
    return masked_shift_right<V, 2 * (k % 4)>(V::load_b(block.qs + 32 * (k / 4)), 3);
  }

 private:
  template <int shift>
  typename V::w nibble_scales() const {
    constexpr uint64_t low = 15 * kEachByte;
    return V::scales16({load_u64(block.scales) >> shift & low, load_u64(block.scales + 8) >> shift & low});
  }
};

template <class V>
struct CodesQ3K {
  using Block = BlockQ3_K;
  static constexpr FormatId kFormat = FormatId::q3_K;
  using Bytes = SmallBytes<7, 16, 4>;
  static constexpr int kBias = 4;
  static constexpr bool kSigned = false, kMins = false, kWhole = false;
  const Block& block;

  float d() const { return V::half(block.d); }
  typename V::w scales() const {
    const uint32_t low[2] = {u32_at(block.scales), u32_at(block.scales + 4)}, high = u32_at(block.scales + 8);
    return V::scales16({eight(low[0], low[1], high), eight(low[0] >> 4, low[1] >> 4, high >> 4)});
  }
  template <int k>
  typename V::b codes() const {
    const auto low = masked_shift_right<V, 2 * (k % 4)>(V::load_b(block.qs + 32 * (k / 4)), 3);
    return V::or_b(low, high_bit<k>());
  }

 private:
  template <int k>
  typename V::b high_bit() const {
    const auto bits = V::load_b(block.hmask);
    if constexpr (k < 2)
      return V::and_b(V::template shift_left<2 - k>(bits), V::splat_byte(4));
    else
      return masked_shift_right<V, k - 2>(bits, 4);
  }
  /// Scales 32 too large in bytes of six bits, less 32: no byte borrows from its neighbour.
  static uint64_t eight(uint32_t low0, uint32_t low1, uint32_t high) {
    const uint32_t first = (low0 & 0x0f0f0f0fu) | (high & 0x03030303u) << 4;
    const uint32_t second = (low1 & 0x0f0f0f0fu) | (high >> 2 & 0x03030303u) << 4;
    const uint64_t six = first | static_cast<uint64_t>(second) << 32;
    return ((six | 0x80 * kEachByte) - 0x20 * kEachByte) ^ 0x80 * kEachByte;
  }
};

/// Scales and minima of q4_K and q5_K.
template <class V>
struct K4 {
  typename V::w scales, mins;
  explicit K4(const uint8_t* s) { V::six_bits(s, scales, mins); }
};

template <class V, int k>
typename V::b k_nibbles(const uint8_t* qs) {
  return masked_shift_right<V, 4 * (k % 2)>(V::load_b(qs + 32 * (k / 2)), 15);
}

template <class V, class BlockOf>
struct CodesK4 {
  using Block = BlockOf;
  static constexpr int kBias = 0;
  static constexpr bool kSigned = false, kMins = true, kWhole = true;
  const Block& block;
  K4<V> k4{block.scales};

  float d() const { return V::half(block.d); }
  float dmin() const { return V::half(block.dmin); }
  typename V::w scales() const { return k4.scales; }
  typename V::w mins() const { return k4.mins; }
};

template <class V>
struct CodesQ4K : CodesK4<V, BlockQ4_K> {
  static constexpr FormatId kFormat = FormatId::q4_K;
  using Bytes = SmallBytes<15, 32, 0>;
  template <int k>
  typename V::b codes() const {
    return k_nibbles<V, k>(this->block.qs);
  }
};

template <class V>
struct CodesQ5K : CodesK4<V, BlockQ5_K> {
  static constexpr FormatId kFormat = FormatId::q5_K;
  using Bytes = SmallBytes<31, 32, 0>;
  template <int k>
  typename V::b codes() const {
    return V::or_b(k_nibbles<V, k>(this->block.qs), fifth_bit<k>());
  }

 private:
  template <int k>
  typename V::b fifth_bit() const {
    const auto bits = V::load_b(this->block.qh);
    if constexpr (k < 4)
      return V::and_b(V::template shift_left<4 - k>(bits), V::splat_byte(16));
    else
      return masked_shift_right<V, k - 4>(bits, 16);
  }
};

template <class V>
struct CodesQ6K {
  using Block = BlockQ6_K;
  static constexpr FormatId kFormat = FormatId::q6_K;
  using Bytes = SmallBytes<63, 16, 32>;
  static constexpr int kBias = 32;
  static constexpr bool kSigned = false, kMins = false, kWhole = false;
  const Block& block;

  float d() const { return V::half(block.d); }
  typename V::w scales() const { return V::scales16({load_u64(block.scales), load_u64(block.scales + 8)}); }
  template <int k>
  typename V::b codes() const {
    constexpr int half = k / 4, quarter = k % 4;
    const auto low =
        masked_shift_right<V, 4 * (quarter / 2)>(V::load_b(block.ql + 64 * half + 32 * (quarter % 2)), 15);
    const auto high = V::load_b(block.qh + 32 * half);
    if constexpr (quarter < 2)
      return V::or_b(low, V::and_b(V::template shift_left<4 - 2 * quarter>(high), V::splat_byte(0x30)));
    else
      return V::or_b(low, masked_shift_right<V, 2 * quarter - 4>(high, 0x30));
  }
};

template <class V>
struct CodesTq2_0 {
  using Block = BlockTq2_0;
  static constexpr FormatId kFormat = FormatId::tq2_0;
  using Bytes = SmallBytes<3, 32, 1>;
  static constexpr int kBias = 1;
  static constexpr bool kSigned = false, kMins = false, kWhole = false;
  const Block& block;

  float d() const { return V::half(block.d); }
  typename V::w scales() const { return V::splat_w(1); }
  template <int k>
  typename V::b codes() const {
    return masked_shift_right<V, 2 * (k % 4)>(V::load_b(block.qs + 32 * (k / 4)), 3);
  }
};

template <class V>
struct CodesTq1_0 {
  using Block = BlockTq1_0;
  static constexpr FormatId kFormat = FormatId::tq1_0;
  using Bytes = SmallBytes<2, 32, 1>;
  static constexpr int kBias = 1;
  static constexpr bool kSigned = false, kMins = false, kWhole = false;
  const Block& block;

  float d() const { return V::half(block.d); }
  typename V::w scales() const { return V::splat_w(1); }
  template <int k>
  typename V::b codes() const {
    if constexpr (k < 5) return first_digit(turned<k>(V::load_b(block.qs)));
    const auto middle = V::twice(block.qs + 32);
    if constexpr (k == 5) return first_digit(V::halves(middle, turned<1>(middle)));
    if constexpr (k == 6) return first_digit(V::halves(turned<2>(middle), turned<3>(middle)));
    constexpr uint32_t powers[4] = {1, 3, 9, 27};
    uint8_t tail[16];  // weight 4n + j of these is digit n of byte j
    for (int n = 0; n < 16; ++n) tail[n] = static_cast<uint8_t>(block.qh[n % 4] * powers[n / 4]);
    return first_digit(V::halves(turned<4>(middle), V::twice(tail)));
  }

 private:
  /// Times 3^n: the digits move up by n.
  template <int n>
  static typename V::b turned(typename V::b x) {
    if constexpr (n == 0)
      return x;
    else
      return turned<n - 1>(V::add_b(V::add_b(x, x), x));
  }
  /// x 3 >> 8
  static typename V::b first_digit(typename V::b x) {
    const auto one = V::ge_b(x, V::splat_byte(86)), two = V::ge_b(x, V::splat_byte(171));
    return V::sub_b(V::sub_b(V::splat_byte(0), one), two);
  }
};

template <class V>
using KCodes = CodesList<CodesQ2K<V>, CodesQ3K<V>, CodesQ4K<V>, CodesQ5K<V>, CodesQ6K<V>, CodesTq1_0<V>,
                         CodesTq2_0<V>>;

}  // namespace
}  // namespace snug::infer

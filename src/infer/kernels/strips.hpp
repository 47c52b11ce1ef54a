#pragma once

#include "infer/kernels/dot.hpp"

// Rows repacked for speed: sixteen of a matrix side by side, a strip, word by word (four bytes of codes of
// each row). A lane is then a row: one load brings codes of all rows for the same activations, scales come as
// vectors, and nothing is ever added across lanes. Takes up to 3 % more bytes than the file's blocks, mxfp4 6
// %.
//
// A set of strips S<V> has, for lanes of eight rows (`half` 0 or 1 of the strip):
//
//   Block, Strip                the block in the file; sixteen of them, one of each row
//   kGroups                     groups of 32 columns in a block, with a scale each where there are several
//   kRaise                      what codes are raised by to be unsigned
//   codes<g, n>(strip, half)    b: word n (of eight) of group g of eight rows, unsigned
//   d(strip, half)              f32: of eight rows; dmin too where kMins
//   repack(rows, stride, strip) sixteen blocks, `stride` bytes apart
//
// Where a block has several groups, strip.scales [group][row]; where kMins, strip.mins [pair of
// groups][row][2].

namespace snug::infer {
namespace {

inline constexpr int64_t kHalfStrip = kStripRows / 2;

/// How far ahead bytes are asked for, a line at a time: in bursts they hold up what is loaded now.
constexpr int kStripAhead = 4096;

/// 16 rows of `words` groups of 4 bytes, to [word][row]. Rows are `stride` bytes apart, and eight words of a
/// row `step` bytes from the next eight.
template <class V>
inline void spread_words(const void* from, int64_t stride, int64_t words, void* to, int64_t step = 32) {
  const auto* rows = static_cast<const std::byte*>(from);
  auto* out = static_cast<float*>(to);
  for (int64_t half = 0; half < 2; ++half)
    for (int64_t k = 0; k < words; k += 8) {
      typename V::f32 part[8];
      for (int64_t n = 0; n < 8; ++n)
        part[n] = V::as_f32(V::load_b(rows + (8 * half + n) * stride + step * (k / 8)));
      V::transpose(part);
      for (int64_t n = 0; n < 8; ++n) V::store(out + (k + n) * kStripRows + 8 * half, part[n]);
    }
}

/// The block of row r, of those `stride` bytes apart.
template <class Block>
const Block& block_at(const Block* rows, int64_t stride, int64_t r) {
  return *reinterpret_cast<const Block*>(reinterpret_cast<const std::byte*>(rows) + r * stride);
}

using Word = uint8_t[kStripRows][4];

/// What most sets have.
template <class V>
struct AnyStrips {
  template <class Strip>
  static typename V::f32 d(const Strip& strip, int64_t half) {
    return V::load_half(strip.d + kHalfStrip * half);
  }
};

template <class V>
typename V::b low_nibbles(const Word& word, int64_t half) {
  return V::and_b(V::load_b(word[kHalfStrip * half]), V::splat_byte(15));
}
template <class V>
typename V::b high_nibbles(const Word& word, int64_t half) {
  return masked_shift_right<V, 4>(V::load_b(word[kHalfStrip * half]), 15);
}

// --- 256 weights
// ------------------------------------------------------------------------------------------

/// q4_K, and what q5_K has of it.
struct K4Strip {
  uint8_t qs[32][kStripRows][4];
  int8_t scales[8][kStripRows], mins[4][kStripRows][2];
  uint16_t d[kStripRows], dmin[kStripRows];
};

template <class V>
struct K4Strips : AnyStrips<V> {
  static constexpr Rounding kRounding = Rounding::blocks256;
  static constexpr int kGroups = 8, kRaise = 0;
  static constexpr bool kMins = true;

  static typename V::f32 dmin(const K4Strip& strip, int64_t half) {
    return V::load_half(strip.dmin + kHalfStrip * half);
  }
  template <int g, int n>
  static typename V::b nibbles(const K4Strip& strip, int64_t half) {
    const Word& word = strip.qs[8 * (g / 2) + n];
    return g % 2 ? high_nibbles<V>(word, half) : low_nibbles<V>(word, half);
  }
  template <class Block>
  static void repack(const Block* rows, int64_t stride, K4Strip& to) {
    spread_words<V>(rows->qs, stride, 32, to.qs);
    for (int64_t r = 0; r < kStripRows; ++r) {
      const Block& block = block_at(rows, stride, r);
      const K4<V> k4{block.scales};
      alignas(32) int16_t scales[16], mins[16];
      V::store_w(scales, k4.scales);
      V::store_w(mins, k4.mins);
      for (int64_t k = 0; k < 8; ++k) {
        to.scales[k][r] = static_cast<int8_t>(scales[k]);
        to.mins[k / 2][r][k % 2] = static_cast<int8_t>(mins[k]);
      }
      to.d[r] = block.d;
      to.dmin[r] = block.dmin;
    }
  }
};

template <class V>
struct StripsQ4K : K4Strips<V> {
  static constexpr FormatId kFormat = FormatId::q4_K;
  using Block = BlockQ4_K;
  using Strip = K4Strip;
  template <int g, int n>
  static typename V::b codes(const Strip& strip, int64_t half) {
    return K4Strips<V>::template nibbles<g, n>(strip, half);
  }
};

template <class V>
struct StripsQ5K : K4Strips<V> {
  static constexpr FormatId kFormat = FormatId::q5_K;
  using Block = BlockQ5_K;
  struct Strip : K4Strip {
    uint8_t qh[8][kStripRows][4];
  };
  template <int g, int n>
  static typename V::b codes(const Strip& strip, int64_t half) {
    const auto bits = V::load_b(strip.qh[n][kHalfStrip * half]),
               nibbles = K4Strips<V>::template nibbles<g, n>(strip, half);
    if constexpr (g < 4)
      return V::or_b(nibbles, V::and_b(V::template shift_left<4 - g>(bits), V::splat_byte(16)));
    else
      return V::or_b(nibbles, masked_shift_right<V, g - 4>(bits, 16));
  }
  static void repack(const Block* rows, int64_t stride, Strip& to) {
    K4Strips<V>::repack(rows, stride, to);
    spread_words<V>(rows->qh, stride, 8, to.qh);
  }
};

template <class V>
struct StripsIq4Xs : AnyStrips<V> {
  static constexpr FormatId kFormat = FormatId::iq4_xs;
  using Block = BlockIq4Xs;
  struct Strip {
    uint8_t qs[32][kStripRows][4];
    int8_t scales[8][kStripRows];
    uint16_t d[kStripRows];
  };
  static constexpr Rounding kRounding = Rounding::blocks256;
  static constexpr int kGroups = 8, kRaise = 128;
  static constexpr bool kMins = false;

  template <int g, int n>
  static typename V::b codes(const Strip& strip, int64_t half) {
    return V::nibble_levels(kIq4Raised, strip.qs[4 * g + n % 4][kHalfStrip * half], n / 4);
  }
  static void repack(const Block* rows, int64_t stride, Strip& to) {
    spread_words<V>(rows->qs, stride, 32, to.qs);
    for (int64_t r = 0; r < kStripRows; ++r) {
      const Block& block = block_at(rows, stride, r);
      for (int64_t k = 0; k < 8; ++k) {
        const int low = block.scales_l[k / 2] >> 4 * (k % 2) & 15, high = block.scales_h >> 2 * k & 3;
        to.scales[k][r] = static_cast<int8_t>((low | high << 4) - 32);
      }
      to.d[r] = block.d;
    }
  }
};

// --- 32 weights
// -------------------------------------------------------------------------------------------

template <class V>
struct ShortStrips : AnyStrips<V> {
  static constexpr Rounding kRounding = Rounding::blocks32;
  static constexpr int kGroups = 1;
  static constexpr bool kMins = false;
};

template <class V>
struct StripsQ8_0 : ShortStrips<V> {
  static constexpr FormatId kFormat = FormatId::q8_0;
  using Block = BlockQ8_0;
  struct Strip {
    uint8_t qs[8][kStripRows][4];
    uint16_t d[kStripRows];
  };
  static constexpr int kRaise = 128;

  template <int, int n>
  static typename V::b codes(const Strip& strip, int64_t half) {
    return V::load_b(strip.qs[n][kHalfStrip * half]);
  }
  static void repack(const Block* rows, int64_t stride, Strip& to) {
    spread_words<V>(rows->qs, stride, 8, to.qs);
    for (int64_t k = 0; k < 8; ++k)
      for (auto& row : to.qs[k])
        for (uint8_t& code : row) code ^= 0x80;
    for (int64_t r = 0; r < kStripRows; ++r) to.d[r] = block_at(rows, stride, r).d;
  }
};

struct NibbleStrip {
  uint8_t qs[4][kStripRows][4];
  uint16_t d[kStripRows];  // f16, of mxfp4 bf16
};

inline uint16_t scale_bits(const BlockQ4_0& block) {
  return block.d;
}
inline uint16_t scale_bits(const BlockIq4Nl& block) {
  return block.d;
}
inline uint16_t scale_bits(const BlockMxfp4& block) {
  return static_cast<uint16_t>(bits_of_float(mxfp4_scale(block.e)) >> 16);  // a power of two
}

/// Sixteen bytes of nibbles.
template <class V, class BlockOf>
struct NibbleStrips : ShortStrips<V> {
  using Block = BlockOf;
  using Strip = NibbleStrip;

  static void repack(const Block* rows, int64_t stride, Strip& to) {
    for (int64_t r = 0; r < kStripRows; ++r) {
      const Block& block = block_at(rows, stride, r);
      for (int64_t n = 0; n < 4; ++n) __builtin_memcpy(to.qs[n][r], block.qs + 4 * n, 4);
      to.d[r] = scale_bits(block);
    }
  }
};

template <class V>
struct StripsQ4_0 : NibbleStrips<V, BlockQ4_0> {
  static constexpr FormatId kFormat = FormatId::q4_0;
  static constexpr int kRaise = 8;
  template <int, int n>
  static typename V::b codes(const NibbleStrip& strip, int64_t half) {
    return n < 4 ? low_nibbles<V>(strip.qs[n % 4], half) : high_nibbles<V>(strip.qs[n % 4], half);
  }
};

/// Nibbles that stand for levels.
template <class V, class BlockOf, const RaisedLevels& levels, int raise>
struct LevelStrips : NibbleStrips<V, BlockOf> {
  static constexpr int kRaise = raise;
  template <int, int n>
  static typename V::b codes(const NibbleStrip& strip, int64_t half) {
    return V::nibble_levels(levels, strip.qs[n % 4][kHalfStrip * half], n / 4);
  }
};

template <class V>
struct StripsIq4Nl : LevelStrips<V, BlockIq4Nl, kIq4Raised, 128> {
  static constexpr FormatId kFormat = FormatId::iq4_nl;
};

template <class V>
struct StripsMxfp4 : LevelStrips<V, BlockMxfp4, kFp4Raised, 12> {
  static constexpr FormatId kFormat = FormatId::mxfp4;
  static typename V::f32 d(const NibbleStrip& strip, int64_t half) {
    return V::load_bf16(strip.d + kHalfStrip * half);
  }
};

/// Every set of strips: of the formats whose unpacking, not memory, limits how fast they multiply.
template <class V>
using AllStrips = CodesList<StripsQ4_0<V>, StripsQ8_0<V>, StripsQ4K<V>, StripsQ5K<V>, StripsIq4Nl<V>,
                            StripsIq4Xs<V>, StripsMxfp4<V>>;

/// RepackedFormat::repack
template <class V, class S>
void repack_rows(const PackedRows& rows, std::byte* out) {
  auto* strip = reinterpret_cast<typename S::Strip*>(out);
  const int64_t count = rows.row_bytes / static_cast<int64_t>(sizeof(typename S::Block));
  for (int64_t r = 0; r < rows.count; r += kStripRows) {
    const auto* blocks = reinterpret_cast<const typename S::Block*>(rows.data + r * rows.row_bytes);
    for (int64_t b = 0; b < count; ++b) S::repack(blocks + b, rows.row_bytes, *strip++);
  }
}

}  // namespace
}  // namespace snug::infer

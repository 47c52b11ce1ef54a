#pragma once

#include "infer/kernels/codes_mlx.hpp"
#include "infer/kernels/strips.hpp"

// Strips of MLX's formats: as strips.hpp has them, but that a strip is `kParts` parts of kColumns columns, with
// codes of their own, and after them the scales and biases. Takes as many bytes as the file's blocks.
//
//   Part                       codes of kColumns columns
//   kOffset                    whether there is an m
//   codes<n>(part, half)       b: word n (four columns) of eight rows, unsigned
//   d(strip, part, half)       f32: of eight rows; m too where kOffset

namespace snug::infer {
namespace {

/// Codes of `columns` columns of sixteen rows, as many bytes as in the file: first their lower parts (nibbles, or
/// pairs of bits of codes of less than four), then their upper bits.
template <int bits, int columns>
struct StreamPart {
  static constexpr int kWords = columns / 4, kLow = bits == 8 ? 8 : bits < 4 ? 2 : 4, kHigh = bits - kLow;
  static constexpr int kInByte = 8 / kLow;                           // lower parts in a byte
  static constexpr int kLowWords = kWords / kInByte;

  uint8_t words[bits * columns / 32][kStripRows][4];

  /// Word n of eight rows.
  template <class V, int n>
  typename V::b codes(int64_t half) const {
    const auto low = V::load_b(words[low_word(n)][kHalfStrip * half]);
    if constexpr (kInByte == 1) return low;
    const auto lower = masked_shift_right<V, kLow * place(n)>(low, (1 << kLow) - 1);
    if constexpr (kHigh <= 0)
      return lower;
    else
      return V::or_b(lower, upper<V, n>(half));
  }

  /// Of row r, from its codes four by four.
  void put(int64_t r, const uint32_t* fours) {
    for (auto& word : words) __builtin_memset(word[r], 0, 4);
    constexpr uint32_t low = 0x01010101u * ((1 << kLow) - 1), high = 0x01010101u * ((1 << kHigh) - 1);
    for (int n = 0; n < kWords; ++n) {
      add(words[low_word(n)][r], (fours[n] & low) << kLow * place(n));
      if constexpr (kHigh > 0)
        add(words[kLowWords + n * kHigh / 8][r], (fours[n] >> kLow & high) << kHigh * n % 8);
    }
  }

 private:
  /// Where the lower part of word n lies: in which word, and in which of a byte's places.
  static constexpr int low_word(int n) { return kInByte == 2 ? n % kLowWords : n / kInByte; }
  static constexpr int place(int n) { return kInByte == 2 ? n / kLowWords : n % kInByte; }

  template <class V, int n>
  typename V::b upper(int64_t half) const {
    constexpr int from = kHigh * n % 8, mask = ((1 << kHigh) - 1) << kLow;
    const auto bits_of_words = V::load_b(words[kLowWords + n * kHigh / 8][kHalfStrip * half]);
    if constexpr (from >= kLow)
      return masked_shift_right<V, from - kLow>(bits_of_words, mask);
    else
      return V::and_b(V::template shift_left<kLow - from>(bits_of_words), V::splat_byte(mask));
  }
  static void add(uint8_t* word, uint32_t codes) { put_u32(word, u32_at(word) | codes); }
};

template <class V, ScaleType type>
typename V::f32 load_scales(const uint16_t* p) {
  if constexpr (type == ScaleType::f16) return V::load_half(p);
  return V::load_bf16(p);
}

template <class V, int number>
struct StripsAffine {
  using Block = AffineBlock<number>;
  static constexpr int kBits = Block::kBits;
  static constexpr ScaleType kType = Block::kType;
  static constexpr FormatId kFormat = kAffineFormat<number>;
  static constexpr Rounding kRounding = Rounding::blocks32_f32;
  using Part = StreamPart<kBits, 32>;
  static constexpr int kParts = int{Block::kWeights} / 32, kColumns = 32, kRaise = kBits == 8 ? 128 : 0;
  static constexpr bool kOffset = true;
  struct Strip {
    Part parts[kParts];
    uint16_t scales[kStripRows], biases[kStripRows];
  };

  template <int n>
  static typename V::b codes(const Part& part, int64_t half) {
    return part.template codes<V, n>(half);
  }
  static typename V::f32 d(const Strip& strip, int64_t, int64_t half) {
    return load_scales<V, kType>(strip.scales + kHalfStrip * half);
  }
  static typename V::f32 m(const Strip& strip, int64_t part, int64_t half) {
    const auto bias = load_scales<V, kType>(strip.biases + kHalfStrip * half);
    if constexpr (kRaise == 0) return bias;
    return bias + V::splat(kRaise) * d(strip, part, half);
  }
  static void repack(const Block* rows, int64_t stride, Strip& to) {
    for (int64_t r = 0; r < kStripRows; ++r) {
      const Block& block = block_at(rows, stride, r);
      for (int p = 0; p < kParts; ++p) {
        alignas(32) uint32_t fours[8];
        const uint8_t* codes = block.codes + 4 * kBits * p;
        if constexpr (kBits == 8)
          V::store_b(fours, V::load_b(codes));
        else
          V::store_b(fours, V::template stream_codes<kBits>(codes));
        to.parts[p].put(r, fours);
      }
      to.scales[r] = block.scale;
      to.biases[r] = block.bias;
    }
  }
};

/// Nibbles that stand for E2M1 levels, with a scale in a byte for each of an Fp4Columns' groups.
template <class V, int columns>
struct StripsFp4 {
  static constexpr FormatId kFormat = columns == 32 ? FormatId::mlx_mxfp4 : FormatId::mlx_nvfp4;
  static constexpr Rounding kRounding = Rounding::blocks32_f32;
  using Block = Fp4Columns<columns>;
  using Part = StreamPart<4, columns>;
  static constexpr int kParts = 32 / columns, kColumns = columns, kRaise = 12;
  static constexpr bool kOffset = false;
  struct Strip {
    Part parts[kParts];
    uint8_t scales[kParts][kStripRows];
  };

  template <int n>
  static typename V::b codes(const Part& part, int64_t half) {
    constexpr int words = Part::kLowWords;
    return V::nibble_levels(kFp4Raised, part.words[n % words][kHalfStrip * half], n / words);
  }
  static typename V::f32 d(const Strip& strip, int64_t part, int64_t half) {
    const uint8_t* scales = strip.scales[part] + kHalfStrip * half;
    if constexpr (columns == 16) return V::e4m3(scales) * V::splat(128);
    const auto bits = V::template shl<23>(V::load_u8(scales));
    return V::bits_f(V::max(bits, V::splat_i(0x00400000))) * V::splat(0.5f);
  }
  static void repack(const Block* rows, int64_t stride, Strip& to) {
    for (int64_t r = 0; r < kStripRows; ++r) {
      const Block& block = block_at(rows, stride, r);
      alignas(32) uint32_t fours[8];
      V::store_b(fours, block.template nibbles<V>());
      for (int p = 0; p < kParts; ++p) {
        to.parts[p].put(r, fours + columns / 4 * p);
        to.scales[p][r] = block.groups[p].scale;
      }
    }
  }
};

template <class V>
using MlxStrips =
    decltype(joined(EachAffine<V, StripsAffine>{}, CodesList<StripsFp4<V, 32>, StripsFp4<V, 16>>{}));

}  // namespace
}  // namespace snug::infer

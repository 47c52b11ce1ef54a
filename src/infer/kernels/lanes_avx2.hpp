#pragma once

#include "infer/kernels/lanes.hpp"
#include "infer/kernels/tables.hpp"
#include "quant/kernels/simd_avx2.hpp"

namespace snug::infer {
namespace {

/// Contract: lanes.hpp.
struct Avx2Lanes : Avx2 {
  using b = __m256i;
  using w = __m256i;
  using i = __m256i;
  static constexpr int kShortRows = 2;

  static b load_b(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static b twice(const void* p) { return _mm256_broadcastsi128_si256(half_of(p)); }
  static b nibbles(const void* p) {
    const __m128i both = half_of(p);
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(both, 4), both), splat_byte(15));
  }
  static b splat_byte(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
  static b from_u64(uint64_t a, uint64_t c, uint64_t d, uint64_t e) {
    return _mm256_set_epi64x(static_cast<int64_t>(e), static_cast<int64_t>(d), static_cast<int64_t>(c),
                             static_cast<int64_t>(a));
  }
  static b four_of_8(const void* p0, const void* p1, const void* p2, const void* p3) {
    // Broadcasts from memory and blends: shuffles all wait for one port.
    const b low = _mm256_blend_epi32(splat_8(p0), splat_8(p1), 0x0c);
    const b high = _mm256_blend_epi32(splat_8(p2), splat_8(p3), 0xc0);
    return _mm256_blend_epi32(low, high, 0xf0);
  }
  static b eight_of_4(const void* table, i index) {
    return _mm256_i32gather_epi32(static_cast<const int*>(table), index, 4);
  }
  static i indices(const uint8_t* low8) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(low8)));
  }
  static i indices(const uint8_t* low8, uint32_t ninth) {
    const i bit = _mm256_sllv_epi32(_mm256_set1_epi32(static_cast<int>(ninth)),
                                    _mm256_setr_epi32(8, 7, 6, 5, 4, 3, 2, 1));
    return _mm256_or_si256(indices(low8), _mm256_and_si256(bit, _mm256_set1_epi32(256)));
  }
  static b halves(b low, b high) { return _mm256_permute2x128_si256(low, high, 0x20); }
  static b mask_of(uint32_t word) {
    const __m256i where = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i each = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(word)), where);
    return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, each), each);
  }

  static b and_b(b x, b y) { return _mm256_and_si256(x, y); }
  static b or_b(b x, b y) { return _mm256_or_si256(x, y); }
  static b add_b(b x, b y) { return _mm256_add_epi8(x, y); }
  static b sub_b(b x, b y) { return _mm256_sub_epi8(x, y); }
  static b ge_b(b x, b y) { return _mm256_cmpeq_epi8(_mm256_max_epu8(x, y), x); }
  template <int n>
  static b shift_right(b x) {
    return _mm256_srli_epi16(x, n);
  }
  template <int n>
  static b shift_left(b x) {
    return _mm256_slli_epi16(x, n);
  }
  static b look_up(const int8_t* table16, b index) { return _mm256_shuffle_epi8(twice(table16), index); }
  static b abs_b(b x) { return _mm256_abs_epi8(x); }
  static b sign_b(b x, b s) { return _mm256_sign_epi8(x, s); }

  static b splat_four(const void* p) {
    int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
  }
  static void store_b(void* p, b x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
  static w add_w(w x, w y) { return _mm256_add_epi16(x, y); }

  static b negate_where(b x, uint32_t word) {
    const b mask = mask_of(word);
    return _mm256_sub_epi8(_mm256_xor_si256(x, mask), mask);
  }
  static void put_sign_words(uint32_t* words, i indices) {
    const auto seven = [](i x, int at) { return _mm256_and_si256(x, _mm256_set1_epi32(127 << at)); };
    const i low = _mm256_or_si256(seven(indices, 0), seven(_mm256_slli_epi32(indices, 1), 8));
    const i high =
        _mm256_or_si256(seven(_mm256_slli_epi32(indices, 2), 16), seven(_mm256_slli_epi32(indices, 3), 24));
    const i bits = _mm256_or_si256(low, high);
    i odd = _mm256_xor_si256(bits, _mm256_srli_epi32(bits, 4));  // the lowest bit of each byte: their parity
    odd = _mm256_xor_si256(odd, _mm256_srli_epi32(odd, 2));
    odd = _mm256_xor_si256(odd, _mm256_srli_epi32(odd, 1));
    const i eighth = _mm256_slli_epi32(_mm256_and_si256(odd, splat_byte(1)), 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), _mm256_or_si256(bits, eighth));
  }

  static w multiply(b unsigned_x, b signed_y) { return _mm256_maddubs_epi16(unsigned_x, signed_y); }
  static w load_w(const int16_t* p) { return load_b(p); }
  static void store_w(int16_t* p, w x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
  static w splat_w(int x) { return _mm256_set1_epi16(static_cast<int16_t>(x)); }
  static w splat_pair(const int16_t* p) {
    int32_t both;
    __builtin_memcpy(&both, p, sizeof both);
    return _mm256_set1_epi32(both);
  }
  static w scales8(uint64_t s) {
    return _mm256_broadcastsi128_si256(_mm_cvtepi8_epi16(_mm_cvtsi64_si128(static_cast<int64_t>(s))));
  }
  static w scales16(Bytes16 s) {
    const __m128i natural = _mm_set_epi64x(static_cast<int64_t>(s.high), static_cast<int64_t>(s.low));
    const __m128i even_first = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(natural, even_first));
  }
  template <int k>
  static w pair_of(w scales) {
    return _mm256_shuffle_epi8(scales, _mm256_set1_epi16(static_cast<int16_t>(2 * k | (2 * k + 1) << 8)));
  }
  static w each_twice(w scales) {
    return _mm256_shuffle_epi8(
        scales, _mm256_setr_epi8(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9, 8, 9, 10, 11, 10, 11,
                                 12, 13, 12, 13, 14, 15, 14, 15));
  }
  static void six_bits(const uint8_t* p, w& scales, w& mins) {
    constexpr int six = 0x3f3f3f3f, four = 0x0f0f0f0f, top = 0x30303030;
    const __m128i abc = half_of(p);  // four bytes each: low scales, low minima, and four bits of the others
    const __m128i low =
        _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(abc, 0x98), _mm_setr_epi32(0, 0, 0, 4)),
                      _mm_setr_epi32(six, four, six, four));
    const __m128i high =
        _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(abc, 0x50), 2), _mm_setr_epi32(0, top, 0, top));
    const w both = _mm256_cvtepi8_epi16(_mm_or_si128(low, high));
    scales = _mm256_permute4x64_epi64(both, 0x44);
    mins = _mm256_permute4x64_epi64(both, 0xee);
  }
  static void half_pair(const uint16_t* p, float by, f32& first, f32& second) {
    int32_t bits;
    __builtin_memcpy(&bits, p, sizeof bits);
    const __m128 both = _mm_mul_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)), _mm_set1_ps(by));
    first = {_mm256_broadcastss_ps(both)};
    second = {_mm256_broadcastss_ps(_mm_movehdup_ps(both))};
  }
  static void store_products(int16_t* p, b x, w pair) {
    const w low = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(x)),
            high = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(x, 1));
    store_w(p, _mm256_mullo_epi16(low, _mm256_permute2x128_si256(pair, pair, 0x00)));
    store_w(p + 16, _mm256_mullo_epi16(high, _mm256_permute2x128_si256(pair, pair, 0x11)));
  }
  static void store_wide(int16_t* p, b x) {
    store_w(p, _mm256_cvtepi8_epi16(_mm256_castsi256_si128(x)));
    store_w(p + 16, _mm256_cvtepi8_epi16(_mm256_extracti128_si256(x, 1)));
  }

  template <int bits>
  static b stream_codes(const uint8_t* p) {
    if constexpr (bits == 4) {
      return split_nibbles(half_of(p));
    } else {
      constexpr StreamPairs<bits> at;
      const __m256i apart = _mm256_shuffle_epi8(stream_bytes<bits>(p), load_b(at.bytes));
      const __m256i pairs = _mm256_srli_epi16(_mm256_mullo_epi16(apart, load_b(at.lift)), 16 - 2 * bits);
      const __m256i moved = _mm256_slli_epi16(pairs, 8 - bits), low = _mm256_set1_epi16((1 << bits) - 1);
      if constexpr (bits < 4) return _mm256_and_si256(_mm256_or_si256(pairs, moved), splat_byte((1 << bits) - 1));
      return _mm256_or_si256(_mm256_and_si256(pairs, low), _mm256_andnot_si256(_mm256_set1_epi16(255), moved));
    }
  }
  static b stream_nibbles(const uint8_t* p, const uint8_t* q) {
    const auto eight = [](const uint8_t* at) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)); };
    return split_nibbles(_mm_unpacklo_epi64(eight(p), eight(q)));
  }
  /// In the place of an f16's sign, exponent and fraction an E4M3 code is its value over 256.
  static f32 e4m3(const uint8_t* p) {
    const __m128i wide = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    const __m128i half = _mm_andnot_si128(_mm_set1_epi16(0x4000), _mm_slli_epi16(wide, 7));
    const __m128i no_number =
        _mm_cmpeq_epi16(_mm_or_si128(half, _mm_set1_epi16(INT16_MIN)), _mm_set1_epi16(INT16_MIN | 0x3f80));
    return {_mm256_cvtph_ps(_mm_or_si128(half, no_number))};
  }

  static b raised_level(const uint8_t* p) {
    return _mm256_shuffle_epi8(twice(kIq4Raised.at), _mm256_and_si256(both_nibbles(p), splat_byte(15)));
  }
  static b nibble_levels(const RaisedLevels& levels, const void* p, int high) {
    const b nibbles = high ? shift_right<4>(load_b(p)) : load_b(p);
    return _mm256_shuffle_epi8(load_b(levels.at), _mm256_and_si256(nibbles, splat_byte(15)));
  }
  static i eight_bytes(const int8_t* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static i times_each(i x, i y) { return _mm256_mullo_epi32(x, y); }
  static f32 iq4_scales(const uint8_t* low, uint16_t high) {
    const i fours = _mm256_srlv_epi32(splat_four(low), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    const i pairs = _mm256_srlv_epi32(_mm256_set1_epi32(high), _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));
    const i six = _mm256_or_si256(_mm256_and_si256(fours, _mm256_set1_epi32(15)),
                                  _mm256_and_si256(_mm256_slli_epi32(pairs, 4), _mm256_set1_epi32(0x30)));
    return real(sub_i(six, _mm256_set1_epi32(32)));
  }

  static i as_i(b x) { return x; }
  static w from_i(i x) { return x; }
  static i every_other(const void* p) {
    const auto* from = static_cast<const float*>(p);
    const __m256 odd = _mm256_shuffle_ps(_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8), 0xdd);
    return _mm256_permute4x64_epi64(_mm256_castps_si256(odd), 0xd8);
  }
  static w top_scales(i words) {
    const i odd = _mm256_or_si256(_mm256_slli_epi32(_mm256_srli_epi32(words, 28), 1), _mm256_set1_epi32(1));
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(odd, odd), 0x88);
  }
  static i zero_i() { return _mm256_setzero_si256(); }
  static i add_i(i x, i y) { return _mm256_add_epi32(x, y); }
  static i sub_i(i x, i y) { return _mm256_sub_epi32(x, y); }
  static i times(i x, int y) { return _mm256_mullo_epi32(x, _mm256_set1_epi32(y)); }
  static i pairs(w x, w y) { return _mm256_madd_epi16(x, y); }
  static i add_pairs(i sum, w x, w y) { return add_i(sum, pairs(x, y)); }
  static i products(b unsigned_x, b signed_y) { return pairs(multiply(unsigned_x, signed_y), splat_w(1)); }
  static f32 splat_half(uint16_t x) { return {_mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(x)))}; }
  static f32 real(i x) { return {_mm256_cvtepi32_ps(x)}; }
  static f32 splat_halves(float low, float high) {
    return {_mm256_set_m128(_mm_set1_ps(high), _mm_set1_ps(low))};
  }
  static w widen(const int8_t* p) { return _mm256_cvtepi8_epi16(half_of(p)); }
  static f32 as_f32(w x) { return {_mm256_castsi256_ps(x)}; }
  static w as_w(f32 x) { return _mm256_castps_si256(x.v); }
  static f32 load_bf16(const uint16_t* p) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half_of(p)), 16))};
  }

 protected:
  /// The nibbles of 16 bytes as nibbles() has them, with others above.
  static b both_nibbles(const uint8_t* p) {
    return _mm256_srlv_epi64(twice(p), _mm256_setr_epi64x(0, 0, 4, 4));
  }

 private:
  /// Where pairs of codes lie in what stream_bytes() loads: two bytes of each, and what lifts the pair to the top
  /// of its 16 bits.
  template <int bits>
  struct StreamPairs {
    alignas(32) uint8_t bytes[32] = {};
    alignas(32) int16_t lift[16] = {};

    constexpr StreamPairs() {
      constexpr int second = bits == 2 ? 4 : bits == 3 ? 6 : bits == 5 ? 2 : 0;  // byte where code 16 begins
      for (int pair = 0; pair < 16; ++pair) {
        const int bit = 2 * bits * (pair % 8) + (pair < 8 ? 0 : 8 * second);
        bytes[2 * pair] = static_cast<uint8_t>(bit / 8);
        bytes[2 * pair + 1] = static_cast<uint8_t>(bit / 8 + 1);
        lift[pair] = static_cast<int16_t>(1 << (16 - 2 * bits - bit % 8));
      }
    }
  };
  /// The bytes of 32 codes, in each half those of 16.
  template <int bits>
  static __m256i stream_bytes(const uint8_t* p) {
    if constexpr (bits == 2) return splat_8(p);
    if constexpr (bits == 3) return twice(p);
    return _mm256_set_m128i(half_of(p + (bits == 5 ? 8 : 12)), half_of(p));
  }
  static b split_nibbles(__m128i bytes) {
    const __m256i wide = _mm256_cvtepu8_epi16(bytes);
    return _mm256_and_si256(_mm256_or_si256(wide, _mm256_slli_epi16(wide, 4)), splat_byte(15));
  }
  static b splat_8(const void* p) {
    int64_t both;
    __builtin_memcpy(&both, p, sizeof both);
    return _mm256_set1_epi64x(both);
  }
  static __m128i half_of(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
};

}  // namespace
}  // namespace snug::infer

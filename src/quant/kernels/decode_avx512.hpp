#pragma once

#include "quant/kernels/decode_kquant.hpp"
#include "quant/kernels/simd_avx2.hpp"

// Decoders on registers of 512 bits, for the formats whose decoding would otherwise be slower than memory.
// With such registers in flight all vector work waits for two ports, and shuffles for one of them: so scales
// go through memory to be broadcast by loads, and q4_K looks its levels up instead of computing them.

namespace snug {
namespace {

// gcc 12 warns of its own headers where these are not masked.
constexpr __mmask16 kAll = 0xffff;

inline __m128i load_16(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
inline __m512 half_in_all(uint16_t h) {
  return _mm512_maskz_cvtph_ps(kAll, _mm256_set1_epi16(static_cast<int16_t>(h)));
}
inline __m512 look_up(__m512 table, __m512i index) {
  return _mm512_maskz_permutexvar_ps(kAll, index, table);
}
inline __m512i widen_u8(__m128i bytes) {
  return _mm512_maskz_cvtepu8_epi32(kAll, bytes);
}

/// d q[0] .. d q[15]
inline __m512 products(const int8_t* q, __m512 d) {
  const __m512i wide = _mm512_maskz_cvtepi8_epi32(kAll, load_16(q));
  return _mm512_mul_ps(d, _mm512_maskz_cvtepi32_ps(kAll, wide));
}

inline void decode_q8_0_avx512(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ8_0, 32>(blocks, cols, row, [](const BlockQ8_0& b, float* y) {
    const __m512 d = half_in_all(b.d);
    _mm512_storeu_ps(y, products(b.qs, d));
    _mm512_storeu_ps(y + 16, products(b.qs + 16, d));
  });
}

/// The eight scales and then the eight minima of K4 (blocks.hpp), times d and dmin.
inline __m512 k4_products_avx512(const BlockQ4_K& b) {
  const __m128i packed = load_16(b.scales);  // the last four bytes are codes
  const __m128i first = _mm_and_si128(packed, _mm_set1_epi32(0x3f3f3f3f));
  const __m128i low = _mm_srlv_epi32(_mm_shuffle_epi32(packed, 0xaa), _mm_setr_epi32(0, 4, 0, 0));
  const __m128i high = _mm_and_si128(_mm_srli_epi32(packed, 2), _mm_set1_epi32(0x30303030));
  const __m128i last = _mm_or_si128(_mm_and_si128(low, _mm_set1_epi32(0x0f0f0f0f)), high);
  const __m512i steps = widen_u8(_mm_unpacklo_epi32(first, last));
  const uint32_t both = b.d | static_cast<uint32_t>(b.dmin) << 16;
  const __m512 d = _mm512_castps128_ps512(_mm_cvtph_ps(_mm_set1_epi32(static_cast<int>(both))));
  const __m512i eight_each = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  return _mm512_mul_ps(_mm512_maskz_cvtepi32_ps(kAll, steps), look_up(d, eight_each));
}

inline void decode_q4_K_avx512(const void* blocks, int64_t cols, float* row) noexcept {
  const __m512 codes = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  decode_blocks<BlockQ4_K, 256>(blocks, cols, row, [codes](const BlockQ4_K& b, float* y) {
    alignas(64) float lines[16];
    _mm512_store_ps(lines, k4_products_avx512(b));
    in_memory(lines);
    const auto levels = [&](int k) {  // d n is exact: fused or not, one rounding
      return _mm512_fmsub_ps(_mm512_set1_ps(lines[k]), codes, _mm512_set1_ps(lines[8 + k]));
    };
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      const __m512 even = levels(2 * pair), odd = levels(2 * pair + 1);
      for (int l = 0; l < 32; l += 16) {  // a lookup sees only the low four bits
        const __m512i both = widen_u8(load_16(b.qs + 32 * pair + l));
        _mm512_storeu_ps(y + 64 * pair + l, look_up(even, both));
        _mm512_storeu_ps(y + 64 * pair + 32 + l, look_up(odd, _mm512_maskz_srli_epi32(kAll, both, 4)));
      }
    }
  });
}

/// ((nibbles & 15) | (high & 0x30)) - 32, bytewise.
inline __m512i six_bits(__m512i nibbles, __m512i high) {
  constexpr int first_or_both_others = 0xf8;
  const __m512i low = _mm512_and_si512(nibbles, _mm512_set1_epi8(15));
  return _mm512_sub_epi8(_mm512_ternarylogic_epi64(low, high, _mm512_set1_epi8(0x30), first_or_both_others),
                         _mm512_set1_epi8(32));
}

inline void decode_q6_K_avx512(const void* blocks, int64_t cols, float* row) noexcept {
  constexpr int64_t two = 0x0002000200020002, four = 2 * two;
  const __m512i up = _mm512_setr_epi64(four, four, four, four, two, two, two, two);
  const __m512i down = _mm512_setr_epi64(0, 0, 0, 0, two, two, two, two);
  decode_blocks<BlockQ6_K, 256>(blocks, cols, row, [up, down](const BlockQ6_K& b, float* y) {
    alignas(64) float scales[16];
    _mm512_store_ps(scales, products(b.scales, half_in_all(b.d)));
    alignas(64) int8_t q[256];
    for (int half = 0; half < 2; ++half) {
      const __m512i nibbles = _mm512_loadu_si512(b.ql + 64 * half);
      const __m512i high = _mm512_maskz_broadcast_i64x4(
          0xff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.qh + 32 * half)));
      _mm512_store_si512(q + 128 * half, six_bits(nibbles, _mm512_sllv_epi16(high, up)));
      _mm512_store_si512(q + 128 * half + 64,
                         six_bits(_mm512_srli_epi16(nibbles, 4), _mm512_srlv_epi16(high, down)));
    }
    in_memory(scales);
    in_memory(q);
#pragma GCC unroll 16
    for (int k = 0; k < 16; ++k)
      _mm512_storeu_ps(y + 16 * k, products(q + 16 * k, _mm512_set1_ps(scales[k])));
  });
}

struct WideDecoder {
  FormatId id;
  DecodeRow decode;
};
constexpr WideDecoder kWideDecoders[] = {
    {FormatId::q8_0, decode_q8_0_avx512},
    {FormatId::q4_K, decode_q4_K_avx512},
    {FormatId::q6_K, decode_q6_K_avx512},
};

}  // namespace
}  // namespace snug

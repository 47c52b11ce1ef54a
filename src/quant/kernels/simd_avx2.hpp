#pragma once

#include <immintrin.h>

#include "quant/kernels/simd.hpp"

namespace snug {
namespace {

/// AVX2, FMA and F16C: one register for eight lanes. Contract: simd.hpp.
struct Avx2 {
  struct f32 {
    __m256 v;
    friend f32 operator+(f32 a, f32 b) { return {_mm256_add_ps(a.v, b.v)}; }
    friend f32 operator-(f32 a, f32 b) { return {_mm256_sub_ps(a.v, b.v)}; }
    friend f32 operator*(f32 a, f32 b) { return {_mm256_mul_ps(a.v, b.v)}; }
    friend f32 operator/(f32 a, f32 b) { return {_mm256_div_ps(a.v, b.v)}; }
    friend f32 operator-(f32 a) { return {_mm256_xor_ps(a.v, _mm256_set1_ps(-0.0f))}; }
  };
  struct i32 {
    __m256i v;
    friend i32 operator+(i32 a, i32 b) { return {_mm256_add_epi32(a.v, b.v)}; }
    friend i32 operator-(i32 a, i32 b) { return {_mm256_sub_epi32(a.v, b.v)}; }
    friend i32 operator*(i32 a, i32 b) { return {_mm256_mullo_epi32(a.v, b.v)}; }
    friend i32 operator&(i32 a, i32 b) { return {_mm256_and_si256(a.v, b.v)}; }
    friend i32 operator|(i32 a, i32 b) { return {_mm256_or_si256(a.v, b.v)}; }
    friend i32 operator^(i32 a, i32 b) { return {_mm256_xor_si256(a.v, b.v)}; }
  };
  struct mask {
    __m256 v;
    friend mask operator&(mask a, mask b) { return {_mm256_and_ps(a.v, b.v)}; }
    friend mask operator|(mask a, mask b) { return {_mm256_or_ps(a.v, b.v)}; }
    friend mask operator~(mask a) { return {_mm256_xor_ps(a.v, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))}; }
  };

  static f32 zero() { return {_mm256_setzero_ps()}; }
  static f32 splat(float x) { return {_mm256_set1_ps(x)}; }
  static f32 iota() { return {_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7)}; }
  static f32 load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static void store(float* p, f32 a) { _mm256_storeu_ps(p, a.v); }

  static i32 splat_i(int32_t x) { return {_mm256_set1_epi32(x)}; }
  static i32 iota_i() { return {_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)}; }
  static i32 load_i(const int32_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
  static void store_i(int32_t* p, i32 a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v); }
  static i32 load_u8(const uint8_t* p) { return {_mm256_cvtepu8_epi32(low(p))}; }
  static i32 load_i8(const int8_t* p) { return {_mm256_cvtepi8_epi32(low(p))}; }
  static i32 load_u16(const uint16_t* p) { return {_mm256_cvtepu16_epi32(full(p))}; }
  static i32 load_i16(const int16_t* p) { return {_mm256_cvtepi16_epi32(full(p))}; }
  static void store_u8(uint8_t* p, i32 a) {
    const __m256i words = _mm256_packus_epi32(low_bits(a.v, 0xff), low_bits(a.v, 0xff));
    const __m128i both = _mm256_castsi256_si128(_mm256_permute4x64_epi64(words, 0x08));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(both, both));
  }
  static void store_u16(uint16_t* p, i32 a) {
    const __m256i words = _mm256_packus_epi32(low_bits(a.v, 0xffff), low_bits(a.v, 0xffff));
    const __m128i both = _mm256_castsi256_si128(_mm256_permute4x64_epi64(words, 0x08));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), both);
  }

  static void store_i8x32(int8_t* p, i32 a, i32 b, i32 c, i32 d) {
    const __m256i mixed = _mm256_packs_epi16(_mm256_packs_epi32(a.v, b.v), _mm256_packs_epi32(c.v, d.v));
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permutevar8x32_epi32(mixed, in_order));
  }

  static f32 fma(f32 a, f32 b, f32 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  static f32 add_exact(f32 a, f32 b, f32 c) { return fma(a, b, c); }
  static f32 min(f32 a, f32 b) { return {_mm256_min_ps(a.v, b.v)}; }
  static f32 max(f32 a, f32 b) { return {_mm256_max_ps(a.v, b.v)}; }
  static i32 min(i32 a, i32 b) { return {_mm256_min_epi32(a.v, b.v)}; }
  static i32 max(i32 a, i32 b) { return {_mm256_max_epi32(a.v, b.v)}; }
  static f32 abs(f32 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
  static f32 sqrt(f32 a) { return {_mm256_sqrt_ps(a.v)}; }
  static f32 round(f32 a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
  static i32 to_i(f32 a) { return {_mm256_cvtps_epi32(a.v)}; }
  static i32 cut_i(f32 a) { return {_mm256_cvttps_epi32(a.v)}; }
  static f32 to_f(i32 a) { return {_mm256_cvtepi32_ps(a.v)}; }
  static i32 bits_i(f32 a) { return {_mm256_castps_si256(a.v)}; }
  static f32 bits_f(i32 a) { return {_mm256_castsi256_ps(a.v)}; }
  template <int n>
  static i32 shl(i32 a) {
    return {_mm256_slli_epi32(a.v, n)};
  }
  template <int n>
  static i32 shr(i32 a) {
    return {_mm256_srli_epi32(a.v, n)};
  }
  static i32 shrv(i32 a, i32 counts) { return {_mm256_srlv_epi32(a.v, counts.v)}; }

  static mask lt(f32 a, f32 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
  static mask le(f32 a, f32 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
  static mask eq(f32 a, f32 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
  static mask lt_i(i32 a, i32 b) { return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(b.v, a.v))}; }
  static mask eq_i(i32 a, i32 b) { return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.v, b.v))}; }
  static f32 select(mask m, f32 a, f32 b) { return {_mm256_blendv_ps(b.v, a.v, m.v)}; }
  static i32 select(mask m, i32 a, i32 b) { return {_mm256_blendv_epi8(b.v, a.v, _mm256_castps_si256(m.v))}; }
  static uint32_t bits(mask m) { return static_cast<uint32_t>(_mm256_movemask_ps(m.v)); }

  static float sum(f32 a) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static int32_t sum_i(i32 a) {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(a.v), _mm256_extracti128_si256(a.v, 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
  }
  static float max_of(f32 a) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
  static float min_of(f32 a) { return -max_of(-a); }

  static f32 gather(const float* table, i32 index) { return {_mm256_i32gather_ps(table, index.v, 4)}; }
  static i32 gather_i(const int32_t* table, i32 index) { return {_mm256_i32gather_epi32(table, index.v, 4)}; }
  static f32 permute(f32 a, i32 index) { return {_mm256_permutevar8x32_ps(a.v, index.v)}; }
  static void transpose(f32 (&rows)[8]) {
    __m256 pairs[8], fours[8];  // two rows interleaved within each half, then four
    for (int i = 0; i < 8; i += 2) {
      pairs[i] = _mm256_unpacklo_ps(rows[i].v, rows[i + 1].v);
      pairs[i + 1] = _mm256_unpackhi_ps(rows[i].v, rows[i + 1].v);
    }
    for (int i = 0; i < 8; i += 4)
      for (int k = 0; k < 2; ++k) {
        fours[i + 2 * k] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0x44);
        fours[i + 2 * k + 1] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0xee);
      }
    for (int i = 0; i < 4; ++i) {
      rows[i].v = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
      rows[i + 4].v = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
    }
  }
  static f32 lookup16(const float* table16, i32 index) {
    const __m256 below = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table16), index.v);
    const __m256 above = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table16 + 8), index.v);
    return {_mm256_blendv_ps(below, above, _mm256_castsi256_ps(_mm256_slli_epi32(index.v, 28)))};
  }

  struct bytes {
    __m256i v;
  };
  static bytes load_bytes(const uint8_t* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
  }
  static void store_bytes(uint8_t* p, bytes a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v); }
  static bytes load_twice(const uint8_t* p) { return {_mm256_broadcastsi128_si256(full(p))}; }
  static bytes load_two(const uint8_t* p, const uint8_t* q) { return {_mm256_set_m128i(full(q), full(p))}; }
  static bytes low_twice(bytes a) { return {_mm256_permute4x64_epi64(a.v, 0x44)}; }
  static bytes high_twice(bytes a) { return {_mm256_permute4x64_epi64(a.v, 0xee)}; }
  static bytes splat_b(uint8_t x) { return {_mm256_set1_epi8(static_cast<char>(x))}; }
  static bytes pack(i32 a, i32 b, i32 c, i32 d) {
    return {_mm256_packus_epi16(_mm256_packs_epi32(a.v, b.v), _mm256_packs_epi32(c.v, d.v))};
  }
  static bytes lookup(bytes table, bytes index) { return {_mm256_shuffle_epi8(table.v, index.v)}; }
  static bytes low_nibbles(bytes a) { return {_mm256_and_si256(a.v, _mm256_set1_epi8(15))}; }
  static bytes high_nibbles(bytes a) {
    return {_mm256_and_si256(_mm256_srli_epi16(a.v, 4), _mm256_set1_epi8(15))};
  }
  static bytes zip_low(bytes a, bytes b) { return {_mm256_unpacklo_epi32(a.v, b.v)}; }
  static bytes zip_high(bytes a, bytes b) { return {_mm256_unpackhi_epi32(a.v, b.v)}; }
  static bytes add_sat(bytes a, bytes b) { return {_mm256_adds_epu8(a.v, b.v)}; }
  static bytes add_halves(bytes a, bytes b) {
    return {_mm256_adds_epu8(_mm256_permute2x128_si256(a.v, b.v, 0x20),
                             _mm256_permute2x128_si256(a.v, b.v, 0x31))};
  }
  static bytes min(bytes a, bytes b) { return {_mm256_min_epu8(a.v, b.v)}; }
  static uint32_t bits_le(bytes a, bytes b) {
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(min(a, b).v, a.v)));
  }
  static bytes select_le(bytes a, bytes b, bytes x, bytes y) {
    return {_mm256_blendv_epi8(y.v, x.v, _mm256_cmpeq_epi8(min(a, b).v, a.v))};
  }
  template <int half>
  static uint32_t least(bytes a) {
    const __m128i here = _mm256_extracti128_si256(a.v, half);
    const __m128i where = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m128i both = _mm_min_epu16(_mm_unpacklo_epi8(where, here), _mm_unpackhi_epi8(where, here));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_minpos_epu16(both))) & 0xffff;
  }

  static float half(uint16_t h) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h))); }
  static uint16_t to_half(float x) {
    return static_cast<uint16_t>(
        _mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT), 0));
  }
  static f32 load_half(const uint16_t* p) { return {_mm256_cvtph_ps(full(p))}; }
  static void store_half(uint16_t* p, f32 a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
  }

 private:
  static __m128i low(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
  static __m128i full(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __m256i low_bits(__m256i a, int32_t m) { return _mm256_and_si256(a, _mm256_set1_epi32(m)); }
};

}  // namespace
}  // namespace snug

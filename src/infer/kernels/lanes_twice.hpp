#pragma once

#include <immintrin.h>

#include <cstdint>

// 64 bytes of AVX-512 VNNI for dot products of codebook formats: what lanes.hpp says of 32 weights, here of
// two groups of 32 after each other. Masked forms where gcc 12 takes the plain intrinsic for a reader of what
// was never written.

namespace snug::infer {
namespace {

struct TwiceLanes {
  using b = __m512i;
  using w = __m512i;
  using i = __m512i;

  static b load_b(const void* p) { return _mm512_loadu_si512(p); }
  static b negate_where(b x, uint64_t word) {
    return _mm512_mask_sub_epi8(x, word, _mm512_setzero_si512(), x);
  }
  static w multiply(b unsigned_x, b signed_y) {
    return _mm512_maskz_maddubs_epi16(~0u, unsigned_x, signed_y);
  }
  static i zero_i() { return _mm512_setzero_si512(); }
  static i add_i(i x, i y) { return _mm512_add_epi32(x, y); }
  static i add_pairs(i sum, w x, w y) { return _mm512_dpwssd_epi32(sum, x, y); }
  /// The sums of both groups, as eight lanes.
  static __m256i fold(i x) {
    return _mm256_add_epi32(_mm512_maskz_extracti64x4_epi64(0xf, x, 0),
                            _mm512_maskz_extracti64x4_epi64(0xf, x, 1));
  }

  /// Scales as scales8() makes them, for pair_of<n>(): those of groups 2n and 2n + 1.
  static w both(__m256i scales) { return _mm512_maskz_broadcast_i64x4(0xff, scales); }
  template <int n>
  static w pair_of(w scales) {
    constexpr auto pair = [](int k) { return (2 * k | (2 * k + 1) << 8) * int64_t{0x0001000100010001}; };
    constexpr int64_t x = pair(2 * n), y = pair(2 * n + 1);
    const __m512i which = _mm512_setr_epi64(x, x, x, x, y, y, y, y);
    return _mm512_maskz_shuffle_epi8(~uint64_t{0}, scales, which);
  }

  /// Eight entries of 8 bytes, or sixteen of 4, of a table.
  static b eight_of_8(const void* table, __m256i index) {
    return _mm512_mask_i32gather_epi64(_mm512_setzero_si512(), 0xff, index, table, 8);
  }
  static b sixteen_of_4(const void* table, __m512i index) {
    return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), 0xffff, index, table, 4);
  }

  /// Indices out of 8 and of 16 bytes.
  static __m256i eight_bytes(const void* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  }
  static __m512i sixteen_bytes(const void* p) { return _mm512_maskz_cvtepu8_epi32(0xffff, load_128(p)); }
  /// Two bits of `high` on top of each of eight 8-bit indices, one on top of each of sixteen.
  static __m256i with_two_bits(__m256i index, uint32_t high) {
    const __m256i each = _mm256_sllv_epi32(_mm256_set1_epi32(static_cast<int>(high)),
                                           _mm256_setr_epi32(8, 6, 4, 2, 0, 0, 0, 0));
    const __m256i later = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(high)),
                                            _mm256_setr_epi32(0, 0, 0, 0, 0, 2, 4, 6));
    return _mm256_or_si256(index,
                           _mm256_and_si256(_mm256_blend_epi32(each, later, 0xf0), _mm256_set1_epi32(0x300)));
  }
  static __m512i with_bit(__m512i index, uint32_t high) {
    return _mm512_mask_or_epi32(index, static_cast<__mmask16>(high), index, _mm512_set1_epi32(256));
  }

 private:
  static __m128i load_128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
};

}  // namespace
}  // namespace snug::infer

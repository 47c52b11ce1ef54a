#pragma once

#include "infer/kernels/lanes_avx2.hpp"
#include "infer/kernels/lanes_twice.hpp"
#include "infer/kernels/lanes_wide.hpp"
#include "infer/kernels/tables.hpp"

namespace snug::infer {
namespace {

/// AVX-512 VNNI and VL: the same registers of 256 bits, twice as many, and sums of products in one
/// instruction. Same bits as Avx2Lanes. Contract: lanes.hpp.
struct Avx512Lanes : Avx2Lanes {
  using Wide = WideLanes;
  using Twice = TwiceLanes;
  static i add_pairs(i sum, w x, w y) { return _mm256_dpwssd_epi32(sum, x, y); }
  static i products(b unsigned_x, b signed_y) { return _mm256_dpbusd_epi32(zero_i(), unsigned_x, signed_y); }

  static constexpr bool kFours = true;
  static constexpr int kShortRows = 4;
  static i add_fours(i sum, b unsigned_x, b signed_y) {
    return _mm256_dpbusd_epi32(sum, unsigned_x, signed_y);
  }

  static b negate_where(b x, uint32_t word) { return _mm256_mask_sub_epi8(x, word, zero_i(), x); }
  static i indices(const uint8_t* low8) { return Avx2Lanes::indices(low8); }
  static i indices(const uint8_t* low8, uint32_t ninth) {
    const i low = indices(low8);
    return _mm256_mask_or_epi32(low, static_cast<__mmask8>(ninth), low, _mm256_set1_epi32(256));
  }
  static b four_of_8(const void* p0, const void* p1, const void* p2, const void* p3) {
    const auto eight = [](const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); };
    b all = _mm256_castsi128_si256(eight(p0));
    all = _mm256_mask_broadcastq_epi64(all, 2, eight(p1));
    all = _mm256_mask_broadcastq_epi64(all, 4, eight(p2));
    return _mm256_mask_broadcastq_epi64(all, 8, eight(p3));
  }

  /// What round_block256() does in general, sixteen values at a time.
  static void round_block256(const float* x, float by, int8_t* q, int16_t* sums) {
    const __m512 factor = _mm512_set1_ps(by), most = _mm512_set1_ps(127);
    __m512i fours[4];
    for (int n = 0; n < 4; ++n) {
      for (int k = 64 * n; k < 64 * n + 64; k += 16) {
        const __m512 clamped = _mm512_maskz_max_ps(0xffff, _mm512_mul_ps(_mm512_loadu_ps(x + k), factor),
                                                   _mm512_sub_ps(_mm512_setzero_ps(), most));
        const __m512i whole = _mm512_maskz_cvtps_epi32(0xffff, _mm512_maskz_min_ps(0xffff, clamped, most));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(q + k), _mm512_maskz_cvtepi32_epi8(0xffff, whole));
      }
      fours[n] =
          _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), _mm512_loadu_si512(q + 64 * n));
    }
    store_sums(fours, sums);
  }
  /// As largest(): bits of magnitudes, NaN above all, in the order of whole numbers.
  static float largest256(const float* x) {
    __m512i most[4];
    for (int n = 0; n < 4; ++n) most[n] = _mm512_setzero_si512();
    for (int k = 0; k < 256; k += 64)
      for (int n = 0; n < 4; ++n) {
        const __m512i bits = _mm512_loadu_si512(x + k + 16 * n);
        most[n] = max_i(_mm512_and_si512(bits, _mm512_set1_epi32(INT32_MAX)), most[n]);
      }
    const __m512i all = max_i(max_i(most[0], most[1]), max_i(most[2], most[3]));
    const __m256i eight = _mm256_max_epi32(half_of_512<0>(all), half_of_512<1>(all));
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(four));
  }

 private:
  template <int half>
  static __m256i half_of_512(__m512i x) {
    return _mm512_maskz_extracti64x4_epi64(0xf, x, half);
  }
  static __m512i max_i(__m512i x, __m512i y) { return _mm512_maskz_max_epi32(0xffff, x, y); }
  static __m512i add_neighbours(__m512i x, __m512i y) {
    return _mm512_add_epi32(_mm512_maskz_unpacklo_epi32(0xffff, x, y),
                            _mm512_maskz_unpackhi_epi32(0xffff, x, y));
  }
  /// Sums of four times four, of which lane L of fours[n] holds those of 16 number 4 n + L; stored with the
  /// even ones first.
  static void store_sums(const __m512i (&fours)[4], int16_t* sums) {
    const __m512i low = add_neighbours(fours[0], fours[1]), high = add_neighbours(fours[2], fours[3]);
    const __m512i all = _mm512_add_epi32(_mm512_maskz_unpacklo_epi64(0xff, low, high),
                                         _mm512_maskz_unpackhi_epi64(0xff, low, high));
    const __m512i order = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    const __m512i sorted = _mm512_maskz_permutexvar_epi32(0xffff, order, all);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), _mm512_maskz_cvtepi32_epi16(0xffff, sorted));
  }
};

}  // namespace
}  // namespace snug::infer

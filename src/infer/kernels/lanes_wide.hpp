#pragma once

#include <immintrin.h>

#include <cstdint>

// Sixteen lanes of AVX-512 for what works lane by lane. Masked forms where gcc 12 takes the plain intrinsic
// for a reader of what was never written.

namespace snug::infer {
namespace {

/// Contract: quant/kernels/simd.hpp, of which these are a part, and attend_block.hpp.
struct WideLanes {
  static constexpr int64_t kLanes = 16;
  static constexpr int kRowsAtOnce = 8;
  static constexpr __mmask16 kAll = 0xffff;

  struct f32 {
    __m512 v;
    friend f32 operator+(f32 a, f32 b) { return {_mm512_add_ps(a.v, b.v)}; }
    friend f32 operator-(f32 a, f32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
    friend f32 operator*(f32 a, f32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
    friend f32 operator/(f32 a, f32 b) { return {_mm512_div_ps(a.v, b.v)}; }
    friend f32 operator-(f32 a) {
      return {_mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(INT32_MIN)))};
    }
  };
  struct i32 {
    __m512i v;
    friend i32 operator+(i32 a, i32 b) { return {_mm512_add_epi32(a.v, b.v)}; }
  };
  struct mask {
    __mmask16 v;
  };

  static f32 zero() { return {_mm512_setzero_ps()}; }
  static f32 splat(float x) { return {_mm512_set1_ps(x)}; }
  static f32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static void store(float* p, f32 a) { _mm512_storeu_ps(p, a.v); }
  static i32 splat_i(int32_t x) { return {_mm512_set1_epi32(x)}; }
  static f32 fma(f32 a, f32 b, f32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  static f32 min(f32 a, f32 b) { return {_mm512_maskz_min_ps(kAll, a.v, b.v)}; }
  static f32 max(f32 a, f32 b) { return {_mm512_maskz_max_ps(kAll, a.v, b.v)}; }
  static f32 round(f32 a) {
    return {_mm512_maskz_roundscale_ps(kAll, a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  static i32 to_i(f32 a) { return {_mm512_maskz_cvtps_epi32(kAll, a.v)}; }
  static f32 bits_f(i32 a) { return {_mm512_castsi512_ps(a.v)}; }
  template <int n>
  static i32 shl(i32 a) {
    return {_mm512_maskz_slli_epi32(kAll, a.v, n)};
  }
  static mask lt(f32 a, f32 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
  static f32 select(mask m, f32 a, f32 b) { return {_mm512_mask_blend_ps(m.v, b.v, a.v)}; }
  static uint32_t bits(mask m) { return m.v; }
};

}  // namespace
}  // namespace snug::infer

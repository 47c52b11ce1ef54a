#pragma once

#include <arm_neon.h>

#include "quant/kernels/simd.hpp"

namespace snug {
namespace {

/// AArch64: two registers for eight lanes. Contract: simd.hpp.
struct Neon {
  struct f32 {
    float32x4_t lo, hi;
    friend f32 operator+(f32 a, f32 b) { return {vaddq_f32(a.lo, b.lo), vaddq_f32(a.hi, b.hi)}; }
    friend f32 operator-(f32 a, f32 b) { return {vsubq_f32(a.lo, b.lo), vsubq_f32(a.hi, b.hi)}; }
    friend f32 operator*(f32 a, f32 b) { return {vmulq_f32(a.lo, b.lo), vmulq_f32(a.hi, b.hi)}; }
    friend f32 operator/(f32 a, f32 b) { return {vdivq_f32(a.lo, b.lo), vdivq_f32(a.hi, b.hi)}; }
    friend f32 operator-(f32 a) { return {vnegq_f32(a.lo), vnegq_f32(a.hi)}; }
  };
  struct i32 {
    int32x4_t lo, hi;
    friend i32 operator+(i32 a, i32 b) { return {vaddq_s32(a.lo, b.lo), vaddq_s32(a.hi, b.hi)}; }
    friend i32 operator-(i32 a, i32 b) { return {vsubq_s32(a.lo, b.lo), vsubq_s32(a.hi, b.hi)}; }
    friend i32 operator*(i32 a, i32 b) { return {vmulq_s32(a.lo, b.lo), vmulq_s32(a.hi, b.hi)}; }
    friend i32 operator&(i32 a, i32 b) { return {vandq_s32(a.lo, b.lo), vandq_s32(a.hi, b.hi)}; }
    friend i32 operator|(i32 a, i32 b) { return {vorrq_s32(a.lo, b.lo), vorrq_s32(a.hi, b.hi)}; }
    friend i32 operator^(i32 a, i32 b) { return {veorq_s32(a.lo, b.lo), veorq_s32(a.hi, b.hi)}; }
  };
  struct mask {
    uint32x4_t lo, hi;
    friend mask operator&(mask a, mask b) { return {vandq_u32(a.lo, b.lo), vandq_u32(a.hi, b.hi)}; }
    friend mask operator|(mask a, mask b) { return {vorrq_u32(a.lo, b.lo), vorrq_u32(a.hi, b.hi)}; }
    friend mask operator~(mask a) { return {vmvnq_u32(a.lo), vmvnq_u32(a.hi)}; }
  };

  static f32 zero() { return splat(0); }
  static f32 splat(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x)}; }
  static f32 iota() { return to_f(iota_i()); }
  static f32 load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
  static void store(float* p, f32 a) {
    vst1q_f32(p, a.lo);
    vst1q_f32(p + 4, a.hi);
  }

  static i32 splat_i(int32_t x) { return {vdupq_n_s32(x), vdupq_n_s32(x)}; }
  static i32 iota_i() {
    constexpr int32_t lanes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    return load_i(lanes);
  }
  static i32 load_i(const int32_t* p) { return {vld1q_s32(p), vld1q_s32(p + 4)}; }
  static void store_i(int32_t* p, i32 a) {
    vst1q_s32(p, a.lo);
    vst1q_s32(p + 4, a.hi);
  }
  static i32 load_u8(const uint8_t* p) { return widen(vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p)))); }
  static i32 load_i8(const int8_t* p) { return widen(vmovl_s8(vld1_s8(p))); }
  static i32 load_i16(const int16_t* p) { return widen(vreinterpretq_s16_u8(bytes_at(p))); }
  static i32 load_u16(const uint16_t* p) {
    const uint16x8_t in = vreinterpretq_u16_u8(bytes_at(p));
    return {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(in))), vreinterpretq_s32_u32(vmovl_high_u16(in))};
  }
  static void store_u8(uint8_t* p, i32 a) { vst1_u8(p, vmovn_u16(narrow(a))); }
  static void store_u16(uint16_t* p, i32 a) {
    vst1q_u8(reinterpret_cast<uint8_t*>(p), vreinterpretq_u8_u16(narrow(a)));
  }

  static void store_i8x32(int8_t* p, i32 a, i32 b, i32 c, i32 d) {
    auto* out = reinterpret_cast<uint8_t*>(p);
    vst1q_u8(out, vcombine_u8(vmovn_u16(narrow(a)), vmovn_u16(narrow(b))));
    vst1q_u8(out + 16, vcombine_u8(vmovn_u16(narrow(c)), vmovn_u16(narrow(d))));
  }

  static f32 add_exact(f32 a, f32 b, f32 c) { return fma(a, b, c); }
  static f32 fma(f32 a, f32 b, f32 c) { return {vfmaq_f32(c.lo, a.lo, b.lo), vfmaq_f32(c.hi, a.hi, b.hi)}; }
  static f32 min(f32 a, f32 b) { return select(lt(a, b), a, b); }
  static f32 max(f32 a, f32 b) { return select(lt(b, a), a, b); }
  static i32 min(i32 a, i32 b) { return {vminq_s32(a.lo, b.lo), vminq_s32(a.hi, b.hi)}; }
  static i32 max(i32 a, i32 b) { return {vmaxq_s32(a.lo, b.lo), vmaxq_s32(a.hi, b.hi)}; }
  static f32 abs(f32 a) { return {vabsq_f32(a.lo), vabsq_f32(a.hi)}; }
  static f32 sqrt(f32 a) { return {vsqrtq_f32(a.lo), vsqrtq_f32(a.hi)}; }
  static f32 round(f32 a) { return {vrndnq_f32(a.lo), vrndnq_f32(a.hi)}; }
  static i32 to_i(f32 a) { return {vcvtnq_s32_f32(a.lo), vcvtnq_s32_f32(a.hi)}; }
  static i32 cut_i(f32 a) { return {vcvtq_s32_f32(a.lo), vcvtq_s32_f32(a.hi)}; }
  static f32 to_f(i32 a) { return {vcvtq_f32_s32(a.lo), vcvtq_f32_s32(a.hi)}; }
  static i32 bits_i(f32 a) { return {vreinterpretq_s32_f32(a.lo), vreinterpretq_s32_f32(a.hi)}; }
  static f32 bits_f(i32 a) { return {vreinterpretq_f32_s32(a.lo), vreinterpretq_f32_s32(a.hi)}; }
  template <int n>
  static i32 shl(i32 a) {
    return {vshlq_n_s32(a.lo, n), vshlq_n_s32(a.hi, n)};
  }
  template <int n>
  static i32 shr(i32 a) {
    return shrv(a, splat_i(n));
  }
  static i32 shrv(i32 a, i32 counts) { return {right(a.lo, counts.lo), right(a.hi, counts.hi)}; }

  static mask lt(f32 a, f32 b) { return {vcltq_f32(a.lo, b.lo), vcltq_f32(a.hi, b.hi)}; }
  static mask le(f32 a, f32 b) { return {vcleq_f32(a.lo, b.lo), vcleq_f32(a.hi, b.hi)}; }
  static mask eq(f32 a, f32 b) { return {vceqq_f32(a.lo, b.lo), vceqq_f32(a.hi, b.hi)}; }
  static mask lt_i(i32 a, i32 b) { return {vcltq_s32(a.lo, b.lo), vcltq_s32(a.hi, b.hi)}; }
  static mask eq_i(i32 a, i32 b) { return {vceqq_s32(a.lo, b.lo), vceqq_s32(a.hi, b.hi)}; }
  static f32 select(mask m, f32 a, f32 b) {
    return {vbslq_f32(m.lo, a.lo, b.lo), vbslq_f32(m.hi, a.hi, b.hi)};
  }
  static i32 select(mask m, i32 a, i32 b) {
    return {vbslq_s32(m.lo, a.lo, b.lo), vbslq_s32(m.hi, a.hi, b.hi)};
  }
  static uint32_t bits(mask m) {
    constexpr uint32_t weights[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    return vaddvq_u32(vandq_u32(m.lo, vld1q_u32(weights))) +
           vaddvq_u32(vandq_u32(m.hi, vld1q_u32(weights + 4)));
  }

  static float sum(f32 a) {
    const float32x4_t four = vaddq_f32(a.lo, a.hi);
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
  static int32_t sum_i(i32 a) { return vaddvq_s32(vaddq_s32(a.lo, a.hi)); }
  static float max_of(f32 a) { return vmaxvq_f32(vmaxq_f32(a.lo, a.hi)); }
  static float min_of(f32 a) { return -max_of(-a); }

  static f32 gather(const float* table, i32 index) {
    int32_t at[8];
    store_i(at, index);
    const float out[8] = {table[at[0]], table[at[1]], table[at[2]], table[at[3]],
                          table[at[4]], table[at[5]], table[at[6]], table[at[7]]};
    return load(out);
  }
  static i32 gather_i(const int32_t* table, i32 index) {
    int32_t at[8];
    store_i(at, index);
    const int32_t out[8] = {table[at[0]], table[at[1]], table[at[2]], table[at[3]],
                            table[at[4]], table[at[5]], table[at[6]], table[at[7]]};
    return load_i(out);
  }
  static f32 permute(f32 a, i32 index) {
    float lanes[8];
    store(lanes, a);
    return gather(lanes, index & splat_i(7));
  }
  static void transpose(f32 (&rows)[8]) {
    for (int i = 0; i < 8; i += 4) {  // the four quarters, each within itself; then two of them change places
      transpose(rows[i].lo, rows[i + 1].lo, rows[i + 2].lo, rows[i + 3].lo);
      transpose(rows[i].hi, rows[i + 1].hi, rows[i + 2].hi, rows[i + 3].hi);
    }
    for (int i = 0; i < 4; ++i) {
      const float32x4_t upper = rows[i].hi;
      rows[i].hi = rows[i + 4].lo;
      rows[i + 4].lo = upper;
    }
  }
  static f32 lookup16(const float* table16, i32 index) { return gather(table16, index & splat_i(15)); }

  struct bytes {
    uint8x16_t lo, hi;
  };
  static bytes load_bytes(const uint8_t* p) { return {vld1q_u8(p), vld1q_u8(p + 16)}; }
  static void store_bytes(uint8_t* p, bytes a) {
    vst1q_u8(p, a.lo);
    vst1q_u8(p + 16, a.hi);
  }
  static bytes load_twice(const uint8_t* p) { return {vld1q_u8(p), vld1q_u8(p)}; }
  static bytes load_two(const uint8_t* p, const uint8_t* q) { return {vld1q_u8(p), vld1q_u8(q)}; }
  static bytes low_twice(bytes a) { return {a.lo, a.lo}; }
  static bytes high_twice(bytes a) { return {a.hi, a.hi}; }
  static bytes splat_b(uint8_t x) { return {vdupq_n_u8(x), vdupq_n_u8(x)}; }
  static bytes pack(i32 a, i32 b, i32 c, i32 d) {
    return {clamped(a.lo, b.lo, c.lo, d.lo), clamped(a.hi, b.hi, c.hi, d.hi)};
  }
  static bytes lookup(bytes table, bytes index) {
    return {vqtbl1q_u8(table.lo, index.lo), vqtbl1q_u8(table.hi, index.hi)};
  }
  static bytes low_nibbles(bytes a) {
    return {vandq_u8(a.lo, vdupq_n_u8(15)), vandq_u8(a.hi, vdupq_n_u8(15))};
  }
  static bytes high_nibbles(bytes a) { return {vshrq_n_u8(a.lo, 4), vshrq_n_u8(a.hi, 4)}; }
  static bytes zip_low(bytes a, bytes b) {
    return {words_low(a.lo, b.lo), words_low(a.hi, b.hi)};
  }
  static bytes zip_high(bytes a, bytes b) {
    return {words_high(a.lo, b.lo), words_high(a.hi, b.hi)};
  }
  static bytes add_sat(bytes a, bytes b) { return {vqaddq_u8(a.lo, b.lo), vqaddq_u8(a.hi, b.hi)}; }
  static bytes add_halves(bytes a, bytes b) { return {vqaddq_u8(a.lo, a.hi), vqaddq_u8(b.lo, b.hi)}; }
  static bytes min(bytes a, bytes b) { return {vminq_u8(a.lo, b.lo), vminq_u8(a.hi, b.hi)}; }
  static uint32_t bits_le(bytes a, bytes b) {
    return sixteen_bits(vcleq_u8(a.lo, b.lo)) | sixteen_bits(vcleq_u8(a.hi, b.hi)) << 16;
  }
  static bytes select_le(bytes a, bytes b, bytes x, bytes y) {
    return {vbslq_u8(vcleq_u8(a.lo, b.lo), x.lo, y.lo), vbslq_u8(vcleq_u8(a.hi, b.hi), x.hi, y.hi)};
  }
  template <int half>
  static uint32_t least(bytes a) {
    constexpr uint8_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const uint8x16_t where = vld1q_u8(lanes), here = half ? a.hi : a.lo;
    return vminvq_u16(vminq_u16(vreinterpretq_u16_u8(vzip1q_u8(where, here)),
                                vreinterpretq_u16_u8(vzip2q_u8(where, here))));
  }

  static float half(uint16_t h) {
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
  }
  static uint16_t to_half(float x) {
    return vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(x))), 0);
  }
  static f32 load_half(const uint16_t* p) {
    const float16x8_t in = vreinterpretq_f16_u8(bytes_at(p));
    return {vcvt_f32_f16(vget_low_f16(in)), vcvt_high_f32_f16(in)};
  }
  static void store_half(uint16_t* p, f32 a) {
    vst1q_u8(reinterpret_cast<uint8_t*>(p),
             vreinterpretq_u8_f16(vcvt_high_f16_f32(vcvt_f16_f32(a.lo), a.hi)));
  }

 private:
  static uint8x16_t clamped(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
    const int16x8_t ab = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b));
    const int16x8_t cd = vcombine_s16(vqmovn_s32(c), vqmovn_s32(d));
    return vcombine_u8(vqmovun_s16(ab), vqmovun_s16(cd));
  }
  static uint8x16_t words_low(uint8x16_t a, uint8x16_t b) {
    return vreinterpretq_u8_u32(vzip1q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
  }
  static uint8x16_t words_high(uint8x16_t a, uint8x16_t b) {
    return vreinterpretq_u8_u32(vzip2q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
  }
  static uint32_t sixteen_bits(uint8x16_t all_or_none) {
    constexpr uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t set = vandq_u8(all_or_none, vld1q_u8(weights));
    return vaddv_u8(vget_low_u8(set)) | static_cast<uint32_t>(vaddv_u8(vget_high_u8(set))) << 8;
  }
  static void transpose(float32x4_t& a, float32x4_t& b, float32x4_t& c, float32x4_t& d) {
    const auto two = [](float32x4_t x) { return vreinterpretq_f64_f32(x); };
    const auto four = [](float64x2_t x) { return vreinterpretq_f32_f64(x); };
    const float32x4_t ab0 = vtrn1q_f32(a, b), ab1 = vtrn2q_f32(a, b);
    const float32x4_t cd0 = vtrn1q_f32(c, d), cd1 = vtrn2q_f32(c, d);
    a = four(vtrn1q_f64(two(ab0), two(cd0)));
    b = four(vtrn1q_f64(two(ab1), two(cd1)));
    c = four(vtrn2q_f64(two(ab0), two(cd0)));
    d = four(vtrn2q_f64(two(ab1), two(cd1)));
  }
  static uint8x16_t bytes_at(const void* p) { return vld1q_u8(static_cast<const uint8_t*>(p)); }
  static i32 widen(int16x8_t in) { return {vmovl_s16(vget_low_s16(in)), vmovl_high_s16(in)}; }
  static uint16x8_t narrow(i32 a) {
    return vmovn_high_u32(vmovn_u32(vreinterpretq_u32_s32(a.lo)), vreinterpretq_u32_s32(a.hi));
  }
  static int32x4_t right(int32x4_t a, int32x4_t counts) {
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vnegq_s32(counts)));
  }
};

}  // namespace
}  // namespace snug

#pragma once

#include <cmath>
#include <cstring>

#include "quant/kernels/simd.hpp"

namespace snug {
namespace {

/// Plain C++: eight lanes in an array, the reference every other set agrees with. Contract: simd.hpp.
struct Scalar {
  template <class T>
  struct Lanes {
    T v[8];
  };
  template <class Out, class Lane>
  static Out each(Lane&& lane) {
    Out out;
    for (int k = 0; k < 8; ++k) out.v[k] = lane(k);
    return out;
  }
  static uint32_t u(int32_t x) { return static_cast<uint32_t>(x); }
  static int32_t s(uint32_t x) { return static_cast<int32_t>(x); }

  struct f32 : Lanes<float> {
    friend f32 operator+(f32 a, f32 b) {
      return each<f32>([&](int k) { return a.v[k] + b.v[k]; });
    }
    friend f32 operator-(f32 a, f32 b) {
      return each<f32>([&](int k) { return a.v[k] - b.v[k]; });
    }
    friend f32 operator*(f32 a, f32 b) {
      return each<f32>([&](int k) { return a.v[k] * b.v[k]; });
    }
    friend f32 operator/(f32 a, f32 b) {
      return each<f32>([&](int k) { return a.v[k] / b.v[k]; });
    }
    friend f32 operator-(f32 a) {
      return each<f32>([&](int k) { return -a.v[k]; });
    }
  };
  struct i32 : Lanes<int32_t> {
    friend i32 operator+(i32 a, i32 b) {
      return each<i32>([&](int k) { return s(u(a.v[k]) + u(b.v[k])); });
    }
    friend i32 operator-(i32 a, i32 b) {
      return each<i32>([&](int k) { return s(u(a.v[k]) - u(b.v[k])); });
    }
    friend i32 operator*(i32 a, i32 b) {
      return each<i32>([&](int k) { return s(u(a.v[k]) * u(b.v[k])); });
    }
    friend i32 operator&(i32 a, i32 b) {
      return each<i32>([&](int k) { return a.v[k] & b.v[k]; });
    }
    friend i32 operator|(i32 a, i32 b) {
      return each<i32>([&](int k) { return a.v[k] | b.v[k]; });
    }
    friend i32 operator^(i32 a, i32 b) {
      return each<i32>([&](int k) { return a.v[k] ^ b.v[k]; });
    }
  };
  struct mask : Lanes<bool> {
    friend mask operator&(mask a, mask b) {
      return each<mask>([&](int k) { return a.v[k] && b.v[k]; });
    }
    friend mask operator|(mask a, mask b) {
      return each<mask>([&](int k) { return a.v[k] || b.v[k]; });
    }
    friend mask operator~(mask a) {
      return each<mask>([&](int k) { return !a.v[k]; });
    }
  };

  static f32 zero() { return splat(0); }
  static f32 splat(float x) {
    return each<f32>([&](int) { return x; });
  }
  static f32 iota() {
    return each<f32>([&](int k) { return static_cast<float>(k); });
  }
  static f32 load(const float* p) {
    return each<f32>([&](int k) { return p[k]; });
  }
  static void store(float* p, f32 a) { std::memcpy(p, a.v, sizeof a.v); }

  static i32 splat_i(int32_t x) {
    return each<i32>([&](int) { return x; });
  }
  static i32 iota_i() {
    return each<i32>([&](int k) { return k; });
  }
  static i32 load_i(const int32_t* p) {
    return each<i32>([&](int k) { return p[k]; });
  }
  static void store_i(int32_t* p, i32 a) { std::memcpy(p, a.v, sizeof a.v); }
  static i32 load_u8(const uint8_t* p) {
    return each<i32>([&](int k) { return p[k]; });
  }
  static i32 load_i8(const int8_t* p) {
    return each<i32>([&](int k) { return p[k]; });
  }
  static i32 load_u16(const uint16_t* p) { return widen<uint16_t>(p); }
  static i32 load_i16(const int16_t* p) { return widen<int16_t>(p); }
  static void store_u8(uint8_t* p, i32 a) {
    for (int k = 0; k < 8; ++k) p[k] = static_cast<uint8_t>(a.v[k]);
  }
  static void store_u16(uint16_t* p, i32 a) {
    uint16_t out[8];
    for (int k = 0; k < 8; ++k) out[k] = static_cast<uint16_t>(a.v[k]);
    std::memcpy(p, out, sizeof out);
  }

  static void store_i8x32(int8_t* p, i32 a, i32 b, i32 c, i32 d) {
    for (int k = 0; k < 8; ++k) {
      p[k] = static_cast<int8_t>(a.v[k]);
      p[8 + k] = static_cast<int8_t>(b.v[k]);
      p[16 + k] = static_cast<int8_t>(c.v[k]);
      p[24 + k] = static_cast<int8_t>(d.v[k]);
    }
  }

  static f32 add_exact(f32 a, f32 b, f32 c) { return a * b + c; }
  static f32 fma(f32 a, f32 b, f32 c) {
    return each<f32>([&](int k) { return __builtin_fmaf(a.v[k], b.v[k], c.v[k]); });
  }
  static f32 min(f32 a, f32 b) {
    return each<f32>([&](int k) { return a.v[k] < b.v[k] ? a.v[k] : b.v[k]; });
  }
  static f32 max(f32 a, f32 b) {
    return each<f32>([&](int k) { return a.v[k] > b.v[k] ? a.v[k] : b.v[k]; });
  }
  static i32 min(i32 a, i32 b) {
    return each<i32>([&](int k) { return a.v[k] < b.v[k] ? a.v[k] : b.v[k]; });
  }
  static i32 max(i32 a, i32 b) {
    return each<i32>([&](int k) { return a.v[k] > b.v[k] ? a.v[k] : b.v[k]; });
  }
  static f32 abs(f32 a) {
    return each<f32>([&](int k) { return __builtin_fabsf(a.v[k]); });
  }
  static f32 sqrt(f32 a) {
    return each<f32>([&](int k) { return __builtin_sqrtf(a.v[k]); });
  }
  static f32 round(f32 a) {
    return each<f32>([&](int k) { return __builtin_rintf(a.v[k]); });
  }
  static i32 to_i(f32 a) {
    return each<i32>([&](int k) {
      const float whole = __builtin_rintf(a.v[k]);
      return whole >= -0x1p31f && whole < 0x1p31f ? static_cast<int32_t>(whole) : INT32_MIN;
    });
  }
  static i32 cut_i(f32 a) {
    return each<i32>([&](int k) {
      return a.v[k] >= -0x1p31f && a.v[k] < 0x1p31f ? static_cast<int32_t>(a.v[k]) : INT32_MIN;
    });
  }
  static f32 to_f(i32 a) {
    return each<f32>([&](int k) { return static_cast<float>(a.v[k]); });
  }
  // Lane by lane: copied whole, gcc 12 for AArch64 reads the old value at -O2.
  static i32 bits_i(f32 a) {
    return each<i32>([&](int k) { return __builtin_bit_cast(int32_t, a.v[k]); });
  }
  static f32 bits_f(i32 a) {
    return each<f32>([&](int k) { return __builtin_bit_cast(float, a.v[k]); });
  }
  template <int n>
  static i32 shl(i32 a) {
    return each<i32>([&](int k) { return s(u(a.v[k]) << n); });
  }
  template <int n>
  static i32 shr(i32 a) {
    return each<i32>([&](int k) { return s(u(a.v[k]) >> n); });
  }
  static i32 shrv(i32 a, i32 counts) {
    return each<i32>([&](int k) { return s(u(a.v[k]) >> counts.v[k]); });
  }

  static mask lt(f32 a, f32 b) {
    return each<mask>([&](int k) { return a.v[k] < b.v[k]; });
  }
  static mask le(f32 a, f32 b) {
    return each<mask>([&](int k) { return a.v[k] <= b.v[k]; });
  }
  static mask eq(f32 a, f32 b) {
    return each<mask>([&](int k) { return a.v[k] == b.v[k]; });
  }
  static mask lt_i(i32 a, i32 b) {
    return each<mask>([&](int k) { return a.v[k] < b.v[k]; });
  }
  static mask eq_i(i32 a, i32 b) {
    return each<mask>([&](int k) { return a.v[k] == b.v[k]; });
  }
  static f32 select(mask m, f32 a, f32 b) {
    return each<f32>([&](int k) { return m.v[k] ? a.v[k] : b.v[k]; });
  }
  static i32 select(mask m, i32 a, i32 b) {
    return each<i32>([&](int k) { return m.v[k] ? a.v[k] : b.v[k]; });
  }
  static uint32_t bits(mask m) {
    uint32_t out = 0;
    for (int k = 0; k < 8; ++k) out |= static_cast<uint32_t>(m.v[k]) << k;
    return out;
  }

  static float sum(f32 a) {
    const float* v = a.v;
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
  }
  static int32_t sum_i(i32 a) {
    uint32_t out = 0;
    for (int32_t lane : a.v) out += u(lane);
    return s(out);
  }
  static float max_of(f32 a) {
    float out = a.v[0];
    for (float lane : a.v) out = lane > out ? lane : out;
    return out;
  }
  static float min_of(f32 a) { return -max_of(-a); }

  static f32 gather(const float* table, i32 index) {
    return each<f32>([&](int k) { return table[index.v[k]]; });
  }
  static i32 gather_i(const int32_t* table, i32 index) {
    return each<i32>([&](int k) { return table[index.v[k]]; });
  }
  static f32 permute(f32 a, i32 index) {
    return each<f32>([&](int k) { return a.v[index.v[k] & 7]; });
  }
  static void transpose(f32 (&rows)[8]) {
    for (int i = 0; i < 8; ++i)
      for (int k = 0; k < i; ++k) {
        const float other = rows[i].v[k];
        rows[i].v[k] = rows[k].v[i];
        rows[k].v[i] = other;
      }
  }
  static f32 lookup16(const float* table16, i32 index) {
    return each<f32>([&](int k) { return table16[index.v[k] & 15]; });
  }

  struct bytes {
    uint8_t v[32];
  };
  template <class Lane>
  static bytes each_byte(Lane&& lane) {
    bytes out;
    for (int k = 0; k < 32; ++k) out.v[k] = static_cast<uint8_t>(lane(k));
    return out;
  }
  static bytes load_bytes(const uint8_t* p) {
    return each_byte([&](int k) { return p[k]; });
  }
  static void store_bytes(uint8_t* p, bytes a) { std::memcpy(p, a.v, sizeof a.v); }
  static bytes load_twice(const uint8_t* p) {
    return each_byte([&](int k) { return p[k & 15]; });
  }
  static bytes load_two(const uint8_t* p, const uint8_t* q) {
    return each_byte([&](int k) { return (k < 16 ? p : q)[k & 15]; });
  }
  static bytes low_twice(bytes a) { return load_twice(a.v); }
  static bytes high_twice(bytes a) { return load_twice(a.v + 16); }
  static bytes splat_b(uint8_t x) {
    return each_byte([&](int) { return x; });
  }
  static bytes pack(i32 a, i32 b, i32 c, i32 d) {
    const i32* const all[4] = {&a, &b, &c, &d};
    return each_byte([&](int k) {
      const int32_t lane = all[k >> 2 & 3]->v[(k >> 4) * 4 + (k & 3)];
      return lane < 0 ? 0 : lane > 255 ? 255 : lane;
    });
  }
  static bytes lookup(bytes table, bytes index) {
    return each_byte([&](int k) { return table.v[(k & 16) | index.v[k]]; });
  }
  static bytes low_nibbles(bytes a) {
    return each_byte([&](int k) { return a.v[k] & 15; });
  }
  static bytes high_nibbles(bytes a) {
    return each_byte([&](int k) { return a.v[k] >> 4; });
  }
  static bytes zip_low(bytes a, bytes b) {
    return each_byte([&](int k) { return (k & 4 ? b : a).v[(k & 16) | (k >> 1 & 4) | (k & 3)]; });
  }
  static bytes zip_high(bytes a, bytes b) {
    return each_byte([&](int k) { return (k & 4 ? b : a).v[(k & 16) | 8 | (k >> 1 & 4) | (k & 3)]; });
  }
  static int saturated(int x) { return x > 255 ? 255 : x; }
  static bytes add_sat(bytes a, bytes b) {
    return each_byte([&](int k) { return saturated(a.v[k] + b.v[k]); });
  }
  static bytes add_halves(bytes a, bytes b) {
    return each_byte([&](int k) {
      const bytes& from = k < 16 ? a : b;
      return saturated(from.v[k & 15] + from.v[(k & 15) + 16]);
    });
  }
  static bytes min(bytes a, bytes b) {
    return each_byte([&](int k) { return a.v[k] < b.v[k] ? a.v[k] : b.v[k]; });
  }
  static uint32_t bits_le(bytes a, bytes b) {
    uint32_t out = 0;
    for (int k = 0; k < 32; ++k) out |= static_cast<uint32_t>(a.v[k] <= b.v[k]) << k;
    return out;
  }
  static bytes select_le(bytes a, bytes b, bytes x, bytes y) {
    return each_byte([&](int k) { return a.v[k] <= b.v[k] ? x.v[k] : y.v[k]; });
  }
  template <int half>
  static uint32_t least(bytes a) {
    uint32_t out = UINT32_MAX;
    for (uint32_t k = 0; k < 16; ++k) {
      const uint32_t here = static_cast<uint32_t>(a.v[16 * half + k]) << 8 | k;
      out = here < out ? here : out;
    }
    return out;
  }

  static float half(uint16_t h) {
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
    const uint32_t exponent = h >> 10 & 0x1f, fraction = h & 0x3ff;
    if (exponent == 31)
      return from_bits(sign | 0x7f800000 | fraction << 13 | (fraction ? 0x400000 : 0));  // quiet
    if (exponent == 0) return (sign ? -0x1p-24f : 0x1p-24f) * static_cast<float>(fraction);
    return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  }
  static uint16_t to_half(float x) {
    const uint32_t all = to_bits(x), sign = all >> 16 & 0x8000, magnitude = all & 0x7fffffff;
    if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
    if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);
    if (magnitude < 0x38800000)  // subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits
      return static_cast<uint16_t>(sign | (to_bits(from_bits(magnitude) + 0.5f) - 0x3f000000));
    const uint32_t even = magnitude >> 13 & 1;
    return static_cast<uint16_t>(sign | ((magnitude + 0xfff + even - 0x38000000) >> 13));
  }
  static f32 load_half(const uint16_t* p) {
    uint16_t in[8];
    std::memcpy(in, p, sizeof in);
    return each<f32>([&](int k) { return half(in[k]); });
  }
  static void store_half(uint16_t* p, f32 a) {
    uint16_t out[8];
    for (int k = 0; k < 8; ++k) out[k] = to_half(a.v[k]);
    std::memcpy(p, out, sizeof out);
  }

 private:
  template <class T>
  static i32 widen(const T* p) {
    T in[8];
    std::memcpy(in, p, sizeof in);
    return each<i32>([&](int k) { return in[k]; });
  }
  static uint32_t to_bits(float x) { return __builtin_bit_cast(uint32_t, x); }
  static float from_bits(uint32_t x) { return __builtin_bit_cast(float, x); }
};

}  // namespace
}  // namespace snug

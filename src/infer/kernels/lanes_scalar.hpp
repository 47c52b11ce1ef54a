#pragma once

#include <cstring>

#include "infer/kernels/lanes.hpp"
#include "quant/blocks_mlx.hpp"
#include "quant/kernels/bits.hpp"
#include "quant/kernels/simd_scalar.hpp"

namespace snug::infer {
namespace {

/// Plain C++. Contract: lanes.hpp.
struct ScalarLanes : Scalar {
  static constexpr int kShortRows = 2;
  struct b {
    uint8_t v[32];
  };
  struct w {
    int16_t v[16];
  };
  struct i {
    int32_t v[8];
  };
  template <class Out, int count, class Lane>
  static Out make(Lane&& lane) {
    Out out;
    for (int k = 0; k < count; ++k)
      out.v[k] = static_cast<std::remove_reference_t<decltype(out.v[0])>>(lane(k));
    return out;
  }
  template <class Lane>
  static b bytes_of(Lane&& lane) {
    return make<b, 32>(lane);
  }
  static int8_t as_i8(uint8_t x) { return static_cast<int8_t>(x); }

  static b load_b(const void* p) {
    b out;
    std::memcpy(out.v, p, 32);
    return out;
  }
  static b twice(const void* p) {
    const auto* from = static_cast<const uint8_t*>(p);
    return bytes_of([&](int k) { return from[k % 16]; });
  }
  static b nibbles(const void* p) {
    const auto* from = static_cast<const uint8_t*>(p);
    return bytes_of([&](int k) { return k < 16 ? from[k] & 15 : from[k - 16] >> 4; });
  }
  static b splat_byte(int x) {
    return bytes_of([&](int) { return x; });
  }
  static b from_u64(uint64_t a, uint64_t c, uint64_t d, uint64_t e) {
    const uint64_t all[4] = {a, c, d, e};
    return load_b(all);
  }
  static b four_of_8(const void* p0, const void* p1, const void* p2, const void* p3) {
    const void* from[4] = {p0, p1, p2, p3};
    b out;
    for (int k = 0; k < 4; ++k) std::memcpy(out.v + 8 * k, from[k], 8);
    return out;
  }
  static b eight_of_4(const void* table, i index) {
    b out;
    for (int k = 0; k < 8; ++k)
      std::memcpy(out.v + 4 * k, static_cast<const uint8_t*>(table) + 4 * index.v[k], 4);
    return out;
  }
  static i indices(const uint8_t* low8) {
    return make<i, 8>([&](int k) { return low8[k]; });
  }
  static i indices(const uint8_t* low8, uint32_t ninth) {
    return make<i, 8>([&](int k) { return low8[k] | (ninth >> k & 1) << 8; });
  }
  static b halves(b low, b high) {
    return bytes_of([&](int k) { return k < 16 ? low.v[k] : high.v[k - 16]; });
  }
  static b mask_of(uint32_t word) {
    return bytes_of([&](int k) { return word >> k & 1 ? 0xff : 0; });
  }

  static b and_b(b x, b y) {
    return bytes_of([&](int k) { return x.v[k] & y.v[k]; });
  }
  static b or_b(b x, b y) {
    return bytes_of([&](int k) { return x.v[k] | y.v[k]; });
  }
  static b add_b(b x, b y) {
    return bytes_of([&](int k) { return x.v[k] + y.v[k]; });
  }
  static b sub_b(b x, b y) {
    return bytes_of([&](int k) { return x.v[k] - y.v[k]; });
  }
  static b ge_b(b x, b y) {
    return bytes_of([&](int k) { return x.v[k] >= y.v[k] ? 0xff : 0; });
  }
  template <int n>
  static b shift_right(b x) {
    return bytes_of([&](int k) { return x.v[k] >> n; });
  }
  template <int n>
  static b shift_left(b x) {
    return bytes_of([&](int k) { return x.v[k] << n; });
  }
  static b look_up(const int8_t* table16, b index) {
    return bytes_of([&](int k) { return table16[index.v[k]]; });
  }
  static b abs_b(b x) {
    return bytes_of([&](int k) { return as_i8(x.v[k]) < 0 ? -as_i8(x.v[k]) : as_i8(x.v[k]); });
  }
  static b sign_b(b x, b s) {
    return bytes_of([&](int k) {
      return as_i8(s.v[k]) < 0 ? -as_i8(x.v[k]) : s.v[k] == 0 ? 0 : as_i8(x.v[k]);
    });
  }

  static b splat_four(const void* p) {
    const auto* from = static_cast<const uint8_t*>(p);
    return bytes_of([&](int k) { return from[k % 4]; });
  }
  static void store_b(void* p, b x) { std::memcpy(p, x.v, sizeof x.v); }
  static w add_w(w x, w y) {
    return make<w, 16>([&](int k) { return x.v[k] + y.v[k]; });
  }

  static b negate_where(b x, uint32_t word) {
    return bytes_of([&](int k) { return word >> k & 1 ? -as_i8(x.v[k]) : as_i8(x.v[k]); });
  }
  static void put_sign_words(uint32_t* words, i indices) {
    for (int k = 0; k < 8; ++k) {
      const auto four = static_cast<uint32_t>(indices.v[k]);
      words[k] = sign_byte(four) | static_cast<uint32_t>(sign_byte(four >> 7)) << 8 |
                 static_cast<uint32_t>(sign_byte(four >> 14)) << 16 |
                 static_cast<uint32_t>(sign_byte(four >> 21)) << 24;
    }
  }

  static w multiply(b x, b y) {
    return make<w, 16>(
        [&](int k) { return x.v[2 * k] * as_i8(y.v[2 * k]) + x.v[2 * k + 1] * as_i8(y.v[2 * k + 1]); });
  }
  static w load_w(const int16_t* p) {
    w out;
    std::memcpy(out.v, p, sizeof out.v);
    return out;
  }
  static void store_w(int16_t* p, w x) { std::memcpy(p, x.v, sizeof x.v); }
  static w splat_w(int x) {
    return make<w, 16>([&](int) { return x; });
  }
  static w splat_pair(const int16_t* p) {
    return make<w, 16>([&](int k) { return p[k % 2]; });
  }
  static w scales8(uint64_t s) {
    return make<w, 16>([&](int k) { return as_i8(static_cast<uint8_t>(s >> 8 * (k % 8))); });
  }
  static w scales16(Bytes16 s) {
    return make<w, 16>([&](int k) {
      const int at = 2 * (k % 8) + k / 8;
      return as_i8(static_cast<uint8_t>((at < 8 ? s.low : s.high) >> 8 * (at % 8)));
    });
  }
  template <int n>
  static w pair_of(w scales) {
    return make<w, 16>([&](int k) { return scales.v[k < 8 ? n : 8 + n]; });
  }
  static w each_twice(w scales) {
    return make<w, 16>([&](int k) { return scales.v[k / 2]; });
  }
  static void six_bits(const uint8_t* p, w& scales, w& mins) {
    const auto eight = [&](const uint8_t* own, int shift) {
      return make<w, 16>([&, shift](int k) {
        const int at = k % 8;
        return at < 4 ? own[at] & 63 : (p[4 + at] >> shift & 15) | (own[at - 4] >> 6) << 4;
      });
    };
    scales = eight(p, 0);
    mins = eight(p + 4, 4);
  }
  static void half_pair(const uint16_t* p, float by, f32& first, f32& second) {
    first = splat(half(p[0]) * by);
    second = splat(half(p[1]) * by);
  }
  static void store_products(int16_t* p, b x, w pair) {
    for (int k = 0; k < 32; ++k) p[k] = static_cast<int16_t>(as_i8(x.v[k]) * pair.v[k / 2]);
  }
  static void store_wide(int16_t* p, b x) {
    for (int k = 0; k < 32; ++k) p[k] = as_i8(x.v[k]);
  }

  template <int bits>
  static b stream_codes(const uint8_t* p) {
    return bytes_of([&](int k) {
      const int both = p[bits * k / 8] | p[bits * k / 8 + 1] << 8;
      return both >> bits * k % 8 & ((1 << bits) - 1);
    });
  }
  static b stream_nibbles(const uint8_t* p, const uint8_t* q) {
    return bytes_of([&](int k) { return (k < 16 ? p[k / 2] : q[k / 2 - 8]) >> 4 * (k % 2) & 15; });
  }
  static f32 e4m3(const uint8_t* p) {
    return each<f32>([&](int k) { return kE4m3.at[p[k]] * 0x1p-8f; });
  }

  static i as_i(b x) {
    i out;
    std::memcpy(out.v, x.v, sizeof out.v);
    return out;
  }
  static w from_i(i x) {
    w out;
    std::memcpy(out.v, x.v, sizeof out.v);
    return out;
  }
  static i every_other(const void* p) {
    int32_t all[16];
    std::memcpy(all, p, sizeof all);
    return make<i, 8>([&](int k) { return all[2 * k + 1]; });
  }
  static w top_scales(i words) {
    return make<w, 16>([&](int k) { return (u(words.v[k % 8]) >> 28) * 2 + 1; });
  }
  static i zero_i() { return {}; }
  static i add_i(i x, i y) {
    return make<i, 8>([&](int k) { return s(u(x.v[k]) + u(y.v[k])); });
  }
  static i sub_i(i x, i y) {
    return make<i, 8>([&](int k) { return s(u(x.v[k]) - u(y.v[k])); });
  }
  static i times(i x, int y) {
    return make<i, 8>([&](int k) { return s(u(x.v[k]) * u(y)); });
  }
  static i pairs(w x, w y) {
    return make<i, 8>(
        [&](int k) { return s(u(x.v[2 * k] * y.v[2 * k]) + u(x.v[2 * k + 1] * y.v[2 * k + 1])); });
  }
  static i add_pairs(i sum, w x, w y) { return add_i(sum, pairs(x, y)); }
  static i products(b x, b y) { return pairs(multiply(x, y), splat_w(1)); }
  static f32 splat_half(uint16_t x) { return splat(half(x)); }
  static f32 real(i x) {
    return each<f32>([&](int k) { return static_cast<float>(x.v[k]); });
  }
  static f32 splat_halves(float low, float high) {
    return each<f32>([&](int k) { return k < 4 ? low : high; });
  }
  static w widen(const int8_t* p) {
    return make<w, 16>([&](int k) { return p[k]; });
  }
  static f32 as_f32(w x) {
    f32 out;
    std::memcpy(out.v, x.v, sizeof out.v);
    return out;
  }
  static w as_w(f32 x) {
    w out;
    std::memcpy(out.v, x.v, sizeof out.v);
    return out;
  }
  static f32 load_bf16(const uint16_t* p) {
    return each<f32>([&](int k) { return __builtin_bit_cast(float, static_cast<uint32_t>(p[k]) << 16); });
  }
};

}  // namespace
}  // namespace snug::infer

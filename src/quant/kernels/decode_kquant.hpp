#pragma once

#include "quant/kernels/decode_legacy.hpp"

// Decoders of the K formats. Each product is rounded on its own, in ggml's order.

namespace snug {

template <Simd V>
void decode_q2_K(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ2_K, 256>(blocks, cols, row, [](const BlockQ2_K& b, float* y) {
    const float super = V::half(b.d), super_min = V::half(b.dmin);
    for (int i = 0; i < 256; i += 8) {
      const uint8_t packed = b.scales[i / 16];
      const auto d = V::splat(super * static_cast<float>(packed & 15));
      const auto m = V::splat(super_min * static_cast<float>(packed >> 4));
      const auto plane = V::load_u8(b.qs + 32 * (i / 128) + i % 32);
      const auto q = V::shrv(plane, V::splat_i(2 * (i % 128 / 32))) & V::splat_i(3);
      V::store(y + i, d * V::to_f(q) - m);
    }
  });
}

template <Simd V>
void decode_q3_K(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ3_K, 256>(blocks, cols, row, [](const BlockQ3_K& b, float* y) {
    const float super = V::half(b.d);
    for (int i = 0; i < 256; i += 8) {
      const auto d = V::splat(super * static_cast<float>(q3k_scale(b.scales, i / 16) - 32));
      const auto plane = V::load_u8(b.qs + 32 * (i / 128) + i % 32);
      const auto low = V::shrv(plane, V::splat_i(2 * (i % 128 / 32))) & V::splat_i(3);
      const auto high = V::shrv(V::load_u8(b.hmask + i % 32), V::splat_i(i / 32)) & V::splat_i(1);
      V::store(y + i, d * V::to_f(low + V::template shl<2>(high) - V::splat_i(4)));
    }
  });
}

template <Simd V>
void decode_q4_K(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ4_K, 256>(blocks, cols, row, [](const BlockQ4_K& b, float* y) {
    const float super = V::half(b.d), super_min = V::half(b.dmin);
    for (int p = 0; p < 4; ++p) {
      const ScaleMin even = k4_scale(b.scales, 2 * p), odd = k4_scale(b.scales, 2 * p + 1);
      const auto d0 = V::splat(super * even.scale), m0 = V::splat(super_min * even.min);
      const auto d1 = V::splat(super * odd.scale), m1 = V::splat(super_min * odd.min);
      for (int l = 0; l < 32; l += 8) {
        const auto both = V::load_u8(b.qs + 32 * p + l);
        V::store(y + 64 * p + l, d0 * V::to_f(both & V::splat_i(15)) - m0);
        V::store(y + 64 * p + 32 + l, d1 * V::to_f(V::template shr<4>(both)) - m1);
      }
    }
  });
}

template <Simd V>
void decode_q5_K(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ5_K, 256>(blocks, cols, row, [](const BlockQ5_K& b, float* y) {
    const float super = V::half(b.d), super_min = V::half(b.dmin);
    for (int k = 0; k < 8; ++k) {
      const ScaleMin pair = k4_scale(b.scales, k);
      const auto d = V::splat(super * pair.scale), m = V::splat(super_min * pair.min);
      for (int l = 0; l < 32; l += 8) {
        const auto both = V::load_u8(b.qs + 32 * (k / 2) + l);
        const auto low = V::shrv(both, V::splat_i(4 * (k % 2))) & V::splat_i(15);
        const auto high = V::shrv(V::load_u8(b.qh + l), V::splat_i(k)) & V::splat_i(1);
        V::store(y + 32 * k + l, d * V::to_f(low | V::template shl<4>(high)) - m);
      }
    }
  });
}

template <Simd V>
void decode_q6_K(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ6_K, 256>(blocks, cols, row, [](const BlockQ6_K& b, float* y) {
    const float super = V::half(b.d);
    for (int half = 0; half < 2; ++half)
      for (int l = 0; l < 32; l += 8) {
        const auto first = V::load_u8(b.ql + 64 * half + l), second = V::load_u8(b.ql + 64 * half + 32 + l);
        const auto high = V::load_u8(b.qh + 32 * half + l);
        const auto put = [&](int quarter, auto low, auto top) {
          const auto d = V::splat(super * b.scales[8 * half + 2 * quarter + l / 16]);
          const auto q = low | V::template shl<4>(top & V::splat_i(3));
          V::store(y + 128 * half + 32 * quarter + l, d * V::to_f(q - V::splat_i(32)));
        };
        put(0, first & V::splat_i(15), high);
        put(1, second & V::splat_i(15), V::template shr<2>(high));
        put(2, V::template shr<4>(first), V::template shr<4>(high));
        put(3, V::template shr<4>(second), V::template shr<6>(high));
      }
  });
}

}  // namespace snug

#pragma once

#include "quant/kernels/decode_blocks.hpp"

// Decoders of the K formats, with ggml's roundings: of d times a scale, of that times a code, of the
// difference. The product of a scale and a code has at most 24 bits, so that it is exact and may be fused
// with the difference. First the codes are put together as bytes, 32 at a time in loops that compilers make
// vectors of, and the scales of a block eight at a time.

namespace snug {

/// y = d q - m for the eight codes at q.
template <Simd V>
void put_affine(const uint8_t* q, float d, float m, float* y) noexcept {
  V::store(y, V::add_exact(V::splat(d), V::to_f(V::load_u8(q)), V::splat(-m)));
}
template <Simd V>
void put_product(const int8_t* q, float d, float* y) noexcept {
  V::store(y, V::splat(d) * V::to_f(V::load_i8(q)));
}

/// Eight bytes stored at once: two halves stored one by one would hold up a load of all.
struct uint8x8 {
  uint8_t at[8];
};
template <Simd V>
uint8x8 two_u32(uint32_t first, uint32_t second) noexcept {
  const uint64_t both = first | static_cast<uint64_t>(second) << 32;
  uint8x8 out;
  std::memcpy(out.at, &both, sizeof both);
  return out;
}

/// The eight scales and minima of K4 (blocks.hpp), times d and dmin.
template <Simd V>
void k4_products(const uint8_t* s, float d, float dmin, float* scales, float* mins) noexcept {
  const uint32_t a = u32_at(s), b = u32_at(s + 4), c = u32_at(s + 8);
  const uint8x8 sc = two_u32<V>(a & 0x3f3f3f3f, (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030));
  const uint8x8 mn = two_u32<V>(b & 0x3f3f3f3f, (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030));
  V::store(scales, V::splat(d) * V::to_f(V::load_u8(sc.at)));
  V::store(mins, V::splat(dmin) * V::to_f(V::load_u8(mn.at)));
}

/// Codes of a Q2 plane in row order.
template <Simd V>
void unpack_q2_plane(const uint8_t* plane, uint8_t* q) noexcept {
  for (int half = 0; half < 2; ++half)
    for (int quarter = 0; quarter < 4; ++quarter)
      for (int l = 0; l < 32; ++l)
        q[128 * half + 32 * quarter + l] = static_cast<uint8_t>(plane[32 * half + l] >> 2 * quarter & 3);
}
/// Nibbles of q4_K and q5_K in row order.
template <Simd V>
void unpack_k_nibbles(const uint8_t* qs, uint8_t* q) noexcept {
  for (int pair = 0; pair < 4; ++pair)
    for (int l = 0; l < 32; ++l) {
      q[64 * pair + l] = static_cast<uint8_t>(qs[32 * pair + l] & 15);
      q[64 * pair + 32 + l] = static_cast<uint8_t>(qs[32 * pair + l] >> 4);
    }
}

template <Simd V>
void decode_q2_K(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ2_K, 256>(blocks, cols, row, [](const BlockQ2_K& b, float* y) {
    const auto d = V::splat(V::half(b.d)), dmin = V::splat(V::half(b.dmin));
    float scales[16], mins[16];
    for (int k = 0; k < 16; k += 8) {
      const auto packed = V::load_u8(b.scales + k);
      V::store(scales + k, d * V::to_f(packed & V::splat_i(15)));
      V::store(mins + k, dmin * V::to_f(V::template shr<4>(packed)));
    }
    uint8_t q[256];
    unpack_q2_plane<V>(b.qs, q);
    in_memory(scales);
    in_memory(mins);
#pragma GCC unroll 32
    for (int i = 0; i < 256; i += 8) put_affine<V>(q + i, scales[i / 16], mins[i / 16], y + i);
  });
}

template <Simd V>
void decode_q3_K(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ3_K, 256>(blocks, cols, row, [](const BlockQ3_K& b, float* y) {
    const uint32_t low[2] = {u32_at(b.scales), u32_at(b.scales + 4)}, high = u32_at(b.scales + 8);
    const auto d = V::splat(V::half(b.d));
    float scales[16];
    for (int k = 0; k < 2; ++k) {
      const uint8x8 six_bits =
          two_u32<V>((low[0] >> 4 * k & 0x0f0f0f0f) | (high >> 4 * k & 0x03030303) << 4,
                     (low[1] >> 4 * k & 0x0f0f0f0f) | (high >> (4 * k + 2) & 0x03030303) << 4);
      V::store(scales + 8 * k, d * V::to_f(V::load_u8(six_bits.at) - V::splat_i(32)));
    }
    uint8_t low_bits[256];
    int8_t q[256];
    unpack_q2_plane<V>(b.qs, low_bits);
    for (int k = 0; k < 8; ++k)
      for (int l = 0; l < 32; ++l)
        q[32 * k + l] = static_cast<int8_t>((low_bits[32 * k + l] | (b.hmask[l] >> k & 1) << 2) - 4);
    in_memory(scales);
#pragma GCC unroll 32
    for (int i = 0; i < 256; i += 8) put_product<V>(q + i, scales[i / 16], y + i);
  });
}

template <Simd V>
void decode_q4_K(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ4_K, 256>(blocks, cols, row, [](const BlockQ4_K& b, float* y) {
    float scales[8], mins[8];
    k4_products<V>(b.scales, V::half(b.d), V::half(b.dmin), scales, mins);
    in_memory(scales);
    in_memory(mins);
    for (int pair = 0; pair < 4; ++pair) {
      const auto d0 = V::splat(scales[2 * pair]), m0 = V::splat(-mins[2 * pair]);
      const auto d1 = V::splat(scales[2 * pair + 1]), m1 = V::splat(-mins[2 * pair + 1]);
      for (int l = 0; l < 32; l += 8) {
        const auto both = V::load_u8(b.qs + 32 * pair + l);
        V::store(y + 64 * pair + l, V::add_exact(d0, V::to_f(both & V::splat_i(15)), m0));
        V::store(y + 64 * pair + 32 + l, V::add_exact(d1, V::to_f(V::template shr<4>(both)), m1));
      }
    }
  });
}

template <Simd V>
void decode_q5_K(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ5_K, 256>(blocks, cols, row, [](const BlockQ5_K& b, float* y) {
    float scales[8], mins[8];
    k4_products<V>(b.scales, V::half(b.d), V::half(b.dmin), scales, mins);
    in_memory(scales);
    in_memory(mins);
    uint8_t q[256];
    unpack_k_nibbles<V>(b.qs, q);
    for (int k = 0; k < 8; ++k)
      for (int l = 0; l < 32; ++l) q[32 * k + l] |= static_cast<uint8_t>((b.qh[l] >> k & 1) << 4);
#pragma GCC unroll 32
    for (int i = 0; i < 256; i += 8) put_affine<V>(q + i, scales[i / 32], mins[i / 32], y + i);
  });
}

template <Simd V>
void decode_q6_K(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ6_K, 256>(blocks, cols, row, [](const BlockQ6_K& b, float* y) {
    const auto d = V::splat(V::half(b.d));
    float scales[16];
    for (int k = 0; k < 16; k += 8) V::store(scales + k, d * V::to_f(V::load_i8(b.scales + k)));
    in_memory(scales);
    int8_t q[256];
    for (int half = 0; half < 2; ++half)
      for (int l = 0; l < 32; ++l) {
        const uint8_t first = b.ql[64 * half + l], second = b.ql[64 * half + 32 + l],
                      high = b.qh[32 * half + l];
        int8_t* to = q + 128 * half + l;
        to[0] = static_cast<int8_t>(((first & 15) | (high << 4 & 0x30)) - 32);
        to[32] = static_cast<int8_t>(((second & 15) | (high << 2 & 0x30)) - 32);
        to[64] = static_cast<int8_t>((first >> 4 | (high & 0x30)) - 32);
        to[96] = static_cast<int8_t>((second >> 4 | (high >> 2 & 0x30)) - 32);
      }
#pragma GCC unroll 32
    for (int i = 0; i < 256; i += 8) put_product<V>(q + i, scales[i / 16], y + i);
  });
}

}  // namespace snug

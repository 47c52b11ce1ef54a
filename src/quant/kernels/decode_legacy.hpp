#pragma once

#include "quant/blocks.hpp"
#include "quant/kernels/bits.hpp"
#include "quant/kernels/simd.hpp"

// Decoders of the 32- to 128-weight blocks and of the ternary formats. Each product is rounded on its own, as
// ggml does.

namespace snug {

/// Calls decode(block, y) for each block of a row; y is where its weights go.
template <class Block, int weights, class Decode>
void decode_blocks(const void* blocks, int64_t cols, float* row, Decode decode) noexcept {
  const auto* block = static_cast<const Block*>(blocks);
  for (int64_t b = 0; b < cols / weights; ++b) {
    prefetch<4096>(block + b, sizeof *block);
    decode(block[b], row + b * weights);
  }
}

/// Calls put(y, n) for the 2 * half codes of nibbles packed as byte j: code j low, code j + half high.
template <Simd V, int half, class Put>
void each_nibble(const uint8_t* qs, float* y, Put put) noexcept {
  for (int j = 0; j < half; j += 8) {
    const auto both = V::load_u8(qs + j);
    put(y + j, both & V::splat_i(15));
    put(y + half + j, V::template shr<4>(both));
  }
}

/// The bits of a byte, one a lane, 0 or 1.
template <Simd V>
typename V::i32 spread_bits(uint32_t byte) noexcept {
  return V::shrv(V::splat_i(static_cast<int32_t>(byte)), V::iota_i()) & V::splat_i(1);
}

template <Simd V>
void decode_q4_0(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ4_0, 32>(blocks, cols, row, [](const BlockQ4_0& b, float* y) {
    const auto d = V::splat(V::half(b.d));
    each_nibble<V, 16>(b.qs, y, [&](float* to, auto n) { V::store(to, d * V::to_f(n - V::splat_i(8))); });
  });
}

template <Simd V>
void decode_q4_1(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ4_1, 32>(blocks, cols, row, [](const BlockQ4_1& b, float* y) {
    const auto d = V::splat(V::half(b.d)), m = V::splat(V::half(b.m));
    each_nibble<V, 16>(b.qs, y, [&](float* to, auto n) { V::store(to, d * V::to_f(n) + m); });
  });
}

/// Calls put(y, n) for the 32 five-bit codes of q5_0 and q5_1.
template <Simd V, class Put>
void each_five_bits(const uint8_t* qh, const uint8_t* qs, float* y, Put put) noexcept {
  for (int j = 0; j < 16; j += 8) {
    const auto both = V::load_u8(qs + j);
    put(y + j, (both & V::splat_i(15)) | V::template shl<4>(spread_bits<V>(qh[j / 8])));
    put(y + 16 + j, V::template shr<4>(both) | V::template shl<4>(spread_bits<V>(qh[2 + j / 8])));
  }
}

template <Simd V>
void decode_q5_0(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ5_0, 32>(blocks, cols, row, [](const BlockQ5_0& b, float* y) {
    const auto d = V::splat(V::half(b.d));
    each_five_bits<V>(b.qh, b.qs, y,
                      [&](float* to, auto n) { V::store(to, d * V::to_f(n - V::splat_i(16))); });
  });
}

template <Simd V>
void decode_q5_1(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ5_1, 32>(blocks, cols, row, [](const BlockQ5_1& b, float* y) {
    const auto d = V::splat(V::half(b.d)), m = V::splat(V::half(b.m));
    each_five_bits<V>(b.qh, b.qs, y, [&](float* to, auto n) { V::store(to, d * V::to_f(n) + m); });
  });
}

template <Simd V>
void decode_q8_0(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ8_0, 32>(blocks, cols, row, [](const BlockQ8_0& b, float* y) {
    const auto d = V::splat(V::half(b.d));
    for (int j = 0; j < 32; j += 8) V::store(y + j, d * V::to_f(V::load_i8(b.qs + j)));
  });
}

template <Simd V>
void decode_iq4_nl(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockIq4Nl, 32>(blocks, cols, row, [](const BlockIq4Nl& b, float* y) {
    const auto d = V::splat(V::half(b.d));
    each_nibble<V, 16>(b.qs, y, [&](float* to, auto n) { V::store(to, d * V::lookup16(kIq4, n)); });
  });
}

template <Simd V>
void decode_iq4_xs(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockIq4Xs, 256>(blocks, cols, row, [](const BlockIq4Xs& b, float* y) {
    const float super = V::half(b.d);
    for (int k = 0; k < 8; ++k) {
      const int scale = (b.scales_l[k / 2] >> 4 * (k & 1) & 15) | (b.scales_h >> 2 * k & 3) << 4;
      const auto d = V::splat(super * static_cast<float>(scale - 32));
      each_nibble<V, 16>(b.qs + 16 * k, y + 32 * k,
                         [&](float* to, auto n) { V::store(to, d * V::lookup16(kIq4, n)); });
    }
  });
}

template <Simd V>
void decode_mxfp4(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockMxfp4, 32>(blocks, cols, row, [](const BlockMxfp4& b, float* y) {
    const auto d = V::splat(mxfp4_scale(b.e));
    each_nibble<V, 16>(b.qs, y, [&](float* to, auto n) { V::store(to, d * V::lookup16(kFp4, n)); });
  });
}

template <Simd V>
void decode_nvfp4(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockNvfp4, 64>(blocks, cols, row, [](const BlockNvfp4& b, float* y) {
    for (int s = 0; s < 4; ++s) {
      const auto d = V::splat(nvfp4_scale(b.d[s]));
      each_nibble<V, 8>(b.qs + 8 * s, y + 16 * s,
                        [&](float* to, auto n) { V::store(to, d * V::lookup16(kFp4, n)); });
    }
  });
}

template <Simd V>
void decode_q1_0(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ1_0, 128>(blocks, cols, row, [](const BlockQ1_0& b, float* y) {
    const auto minus = V::bits_i(V::splat(-V::half(b.d)));
    for (int j = 0; j < 16; ++j)
      V::store(y + 8 * j, V::bits_f(minus ^ V::template shl<31>(spread_bits<V>(b.qs[j]))));
  });
}

template <Simd V>
void decode_q2_0(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ2_0, 64>(blocks, cols, row, [](const BlockQ2_0& b, float* y) {
    const auto d = V::splat(V::half(b.d));
    const auto counts = V::template shl<1>(V::iota_i());
    for (int j = 0; j < 8; ++j) {
      const auto pair = V::splat_i(b.qs[2 * j] | b.qs[2 * j + 1] << 8);
      const auto code = V::shrv(pair, counts) & V::splat_i(3);
      V::store(y + 8 * j, d * V::to_f(code - V::splat_i(1)));
    }
  });
}

/// Eight ternary digits, digit n (most significant first) of eight bytes, minus one.
template <Simd V>
typename V::f32 trits(const uint8_t* bytes, int power) noexcept {
  const auto turned = (V::load_u8(bytes) * V::splat_i(power)) & V::splat_i(255);
  return V::to_f(V::template shr<8>(turned * V::splat_i(3)) - V::splat_i(1));
}

template <Simd V>
void decode_tq1_0(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockTq1_0, 256>(blocks, cols, row, [](const BlockTq1_0& b, float* y) {
    const auto d = V::splat(V::half(b.d));
    constexpr int powers[5] = {1, 3, 9, 27, 81};
    for (int n = 0; n < 5; ++n) {
      for (int m = 0; m < 32; m += 8) V::store(y + 32 * n + m, d * trits<V>(b.qs + m, powers[n]));
      for (int m = 0; m < 16; m += 8) V::store(y + 160 + 16 * n + m, d * trits<V>(b.qs + 32 + m, powers[n]));
    }
    uint8_t tail[16];  // digit n of byte j is weight 4n + j: each byte four times, turned by its power
    for (int i = 0; i < 16; ++i) tail[i] = static_cast<uint8_t>(b.qh[i % 4] * powers[i / 4]);
    for (int m = 0; m < 16; m += 8) V::store(y + 240 + m, d * trits<V>(tail + m, 1));
  });
}

template <Simd V>
void decode_tq2_0(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockTq2_0, 256>(blocks, cols, row, [](const BlockTq2_0& b, float* y) {
    const auto d = V::splat(V::half(b.d));
    for (int m = 0; m < 64; m += 8) {
      const auto four = V::load_u8(b.qs + m);
      float* to = y + 128 * (m / 32) + m % 32;
      const auto put = [&](int at, auto code) {
        V::store(to + at, d * V::to_f((code & V::splat_i(3)) - V::splat_i(1)));
      };
      put(0, four);
      put(32, V::template shr<2>(four));
      put(64, V::template shr<4>(four));
      put(96, V::template shr<6>(four));
    }
  });
}

}  // namespace snug

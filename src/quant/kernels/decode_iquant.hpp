#pragma once

#include "quant/codebooks/codebooks.hpp"
#include "quant/kernels/decode_blocks.hpp"

// Decoders of the codebook formats.

namespace snug {

/// Flips the sign of lane j where bit j of the byte is set.
template <Simd V>
typename V::f32 flip_signs(typename V::f32 x, uint32_t byte) noexcept {
  return V::bits_f(V::bits_i(x) ^
                   V::template shl<31>(V::shrv(V::splat_i(static_cast<int32_t>(byte)), V::iota_i())));
}

template <Simd V>
void put_iq2(float* y, float scale, const uint8_t* grid8, uint32_t signs) noexcept {
  V::store(y, flip_signs<V>(V::splat(scale) * V::to_f(V::load_u8(grid8)), signs));
}

template <Simd V>
void put_iq3(float* y, float scale, const uint8_t* first4, const uint8_t* second4, uint32_t signs) noexcept {
  uint8_t grid8[8];
  std::memcpy(grid8, first4, 4);
  std::memcpy(grid8 + 4, second4, 4);
  put_iq2<V>(y, scale, grid8, signs);
}

template <Simd V>
void decode_iq2_xxs(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockIq2Xxs, 256>(blocks, cols, row, [](const BlockIq2Xxs& b, float* y) {
    const float super = V::half(b.d);
    for (int k = 0; k < 8; ++k) {
      const uint8_t* index = b.qs + 8 * k;
      const uint32_t w = u32_at(index + 4);
      const float d = super * (0.5f + static_cast<float>(w >> 28)) * 0.25f;
      for (int l = 0; l < 4; ++l)
        put_iq2<V>(y + 32 * k + 8 * l, d, kIq2XxsGrid.at[index[l]], sign_byte(w >> 7 * l));
    }
  });
}

template <Simd V>
void decode_iq2_xs(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockIq2Xs, 256>(blocks, cols, row, [](const BlockIq2Xs& b, float* y) {
    const float super = V::half(b.d);
    for (int g = 0; g < 32; ++g) {
      const uint16_t q = b.qs[g];
      put_iq2<V>(y + 8 * g, iq2_scale(super, b.scales, g), kIq2XsGrid.at[q & 511], sign_byte(q >> 9));
    }
  });
}

template <Simd V>
void decode_iq2_s(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockIq2S, 256>(blocks, cols, row, [](const BlockIq2S& b, float* y) {
    const float super = V::half(b.d);
    for (int g = 0; g < 32; ++g) {
      const int index = b.qs[g] | (b.qh[g / 4] >> 2 * (g % 4) & 3) << 8;
      put_iq2<V>(y + 8 * g, iq2_scale(super, b.scales, g), kIq2SGrid.at[index], b.signs[g]);
    }
  });
}

template <Simd V>
void decode_iq3_xxs(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockIq3Xxs, 256>(blocks, cols, row, [](const BlockIq3Xxs& b, float* y) {
    const float super = V::half(b.d);
    for (int g = 0; g < 32; ++g) {
      const uint32_t w = u32_at(b.gas + 4 * (g / 4));
      const float d = super * (0.5f + static_cast<float>(w >> 28)) * 0.5f;
      put_iq3<V>(y + 8 * g, d, kIq3XxsGrid.at[b.qs[2 * g]], kIq3XxsGrid.at[b.qs[2 * g + 1]],
                 sign_byte(w >> 7 * (g % 4)));
    }
  });
}

template <Simd V>
void decode_iq3_s(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockIq3S, 256>(blocks, cols, row, [](const BlockIq3S& b, float* y) {
    const float super = V::half(b.d);
    for (int g = 0; g < 32; ++g) {
      const int group = g / 4, quad = 2 * (g % 4), high = b.qh[group] >> quad;
      const int scale = b.scales[group / 2] >> 4 * (group % 2) & 15;
      const float d = super * static_cast<float>(1 + 2 * scale);
      put_iq3<V>(y + 8 * g, d, kIq3SGrid.at[b.qs[2 * g] | (high & 1) << 8],
                 kIq3SGrid.at[b.qs[2 * g + 1] | (high & 2) << 7], b.signs[g]);
    }
  });
}

template <Simd V>
void put_iq1(float* y, float scale, int index, bool negative_delta) noexcept {
  const auto level = V::to_f(V::load_i8(kIq1Grid.at[index])) + V::splat(negative_delta ? -0.125f : 0.125f);
  V::store(y, V::splat(scale) * level);
}

template <Simd V>
void decode_iq1_s(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockIq1S, 256>(blocks, cols, row, [](const BlockIq1S& b, float* y) {
    const float super = V::half(b.d);
    for (int g = 0; g < 32; ++g) {
      const int qh = b.qh[g / 4];
      const float d = super * static_cast<float>(2 * (qh >> 12 & 7) + 1);
      put_iq1<V>(y + 8 * g, d, b.qs[g] | (qh >> 3 * (g % 4) & 7) << 8, qh & 0x8000);
    }
  });
}

template <Simd V>
void decode_iq1_m(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockIq1M, 256>(blocks, cols, row, [](const BlockIq1M& b, float* y) {
    uint32_t half = 0;
    for (int k = 0; k < 4; ++k) half |= static_cast<uint32_t>(b.scales[k] >> 12) << 4 * k;
    const float super = V::half(static_cast<uint16_t>(half));
    for (int g = 0; g < 32; ++g) {
      const int nibble = b.qh[g / 2] >> 4 * (g % 2) & 15, t = g / 2;
      const float d = super * static_cast<float>(2 * (b.scales[t / 4] >> 3 * (t % 4) & 7) + 1);
      put_iq1<V>(y + 8 * g, d, b.qs[g] | (nibble & 7) << 8, nibble & 8);
    }
  });
}

}  // namespace snug

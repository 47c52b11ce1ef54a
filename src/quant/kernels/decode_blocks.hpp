#pragma once

#include "quant/blocks.hpp"
#include "quant/kernels/bits.hpp"
#include "quant/kernels/simd.hpp"

// What decoders share. Each product is rounded on its own, as ggml does.

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

/// Calls put(y, n) for the 32 five-bit codes of q5_0 and q5_1.
template <Simd V, class Put>
void each_five_bits(const uint8_t* qh, const uint8_t* qs, float* y, Put put) noexcept {
  for (int j = 0; j < 16; j += 8) {
    const auto both = V::load_u8(qs + j);
    put(y + j, (both & V::splat_i(15)) | V::template shl<4>(spread_bits<V>(qh[j / 8])));
    put(y + 16 + j, V::template shr<4>(both) | V::template shl<4>(spread_bits<V>(qh[2 + j / 8])));
  }
}

}  // namespace snug

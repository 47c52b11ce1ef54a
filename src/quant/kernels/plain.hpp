#pragma once

#include <cstring>

#include "quant/blocks.hpp"
#include "quant/kernels/bits.hpp"
#include "quant/kernels/kernels.hpp"
#include "quant/kernels/simd.hpp"

// Formats without blocks: f32, f16, bf16. A row may have any length.

namespace snug {

template <Simd V>
void encode_f32(const EncodeJob& job) noexcept {
  std::memcpy(job.blocks, job.x, static_cast<size_t>(job.cols) * sizeof(float));
}

template <Simd V>
void decode_f32(const void* blocks, int64_t cols, float* row) noexcept {
  std::memcpy(row, blocks, static_cast<size_t>(cols) * sizeof(float));
}

/// convert(x, out) makes eight numbers of 16 bits of eight weights.
template <class Convert>
void encode_by_eight(const EncodeJob& job, const Convert& convert) noexcept {
  auto* out = static_cast<uint16_t*>(job.blocks);
  int64_t j = 0;
  for (; j + 8 <= job.cols; j += 8) {
    prefetch<4096>(job.x + j, 8 * sizeof *job.x);
    convert(job.x + j, out + j);
  }
  if (j == job.cols) return;
  float x[8] = {};
  uint16_t h[8];
  std::memcpy(x, job.x + j, static_cast<size_t>(job.cols - j) * sizeof(float));
  convert(x, h);
  std::memcpy(out + j, h, static_cast<size_t>(job.cols - j) * sizeof(uint16_t));
}

/// convert(in) makes eight weights of eight numbers of 16 bits.
template <Simd V, class Convert>
void decode_by_eight(const void* blocks, int64_t cols, float* row, const Convert& convert) noexcept {
  const auto* in = static_cast<const uint16_t*>(blocks);
  int64_t j = 0;
  for (; j + 8 <= cols; j += 8) V::store(row + j, convert(in + j));
  if (j == cols) return;
  float x[8];
  uint16_t h[8] = {};
  std::memcpy(h, in + j, static_cast<size_t>(cols - j) * sizeof(uint16_t));
  V::store(x, convert(h));
  std::memcpy(row + j, x, static_cast<size_t>(cols - j) * sizeof(float));
}

/// Nearest f16; finite weights beyond its range become its largest, not infinity.
template <Simd V>
void encode_f16(const EncodeJob& job) noexcept {
  const auto limit = V::splat(65504.0f);
  encode_by_eight(job, [&](const float* x, uint16_t* out) {
    V::store_half(out, V::max(V::min(V::load(x), limit), -limit));
  });
}

template <Simd V>
void decode_f16(const void* blocks, int64_t cols, float* row) noexcept {
  decode_by_eight<V>(blocks, cols, row, [](const uint16_t* in) { return V::load_half(in); });
}

/// Nearest bf16; what would round to infinity becomes the largest finite value.
template <Simd V>
void encode_bf16(const EncodeJob& job) noexcept {
  const auto limit = V::splat(0x1.fep127f);
  encode_by_eight(job, [&](const float* x, uint16_t* out) {
    const auto u = V::bits_i(V::max(V::min(V::load(x), limit), -limit));
    const auto odd = V::template shr<16>(u) & V::splat_i(1);
    V::store_u16(out, V::template shr<16>(u + V::splat_i(0x7fff) + odd));
  });
}

template <Simd V>
void decode_bf16(const void* blocks, int64_t cols, float* row) noexcept {
  decode_by_eight<V>(blocks, cols, row,
                     [](const uint16_t* in) { return V::bits_f(V::template shl<16>(V::load_u16(in))); });
}

template <Simd V>
constexpr CodecRow kPlainCodecs[] = {
    {FormatId::f32, {encode_f32<V>, decode_f32<V>}},
    {FormatId::f16, {encode_f16<V>, decode_f16<V>}},
    {FormatId::bf16, {encode_bf16<V>, decode_bf16<V>}},
};

}  // namespace snug

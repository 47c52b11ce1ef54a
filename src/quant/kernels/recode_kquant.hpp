#pragma once

#include "quant/kernels/bits.hpp"
#include "quant/kernels/encode_kquant_pack.hpp"

// The K formats once more, with the scales that a block has: what an element decodes to is s q - b, with s
// and b those of its sub-block, and q is the nearest code.

namespace snug {

struct KScale {
  float s, b;
};

template <Simd V>
KScale unpack_scale(const BlockQ2_K& in, int k, KCodes& out) {
  out.scale[k] = in.scales[k] & 15;
  out.min[k] = in.scales[k] >> 4;
  return {V::half(in.d) * out.scale[k], V::half(in.dmin) * out.min[k]};
}
template <Simd V, class Block>
KScale unpack_k4_scale(const Block& in, int k, KCodes& out) {
  const ScaleMin both = k4_scale(in.scales, k);
  out.scale[k] = both.scale;
  out.min[k] = both.min;
  return {V::half(in.d) * both.scale, V::half(in.dmin) * both.min};
}
template <Simd V>
KScale unpack_scale(const BlockQ4_K& in, int k, KCodes& out) {
  return unpack_k4_scale<V>(in, k, out);
}
template <Simd V>
KScale unpack_scale(const BlockQ5_K& in, int k, KCodes& out) {
  return unpack_k4_scale<V>(in, k, out);
}
template <Simd V>
KScale unpack_scale(const BlockQ3_K& in, int k, KCodes& out) {
  out.scale[k] = static_cast<uint8_t>(q3k_scale(in.scales, k));
  const float s = V::half(in.d) * static_cast<float>(out.scale[k] - 32);
  return {s, 4 * s};
}
template <Simd V>
KScale unpack_scale(const BlockQ6_K& in, int k, KCodes& out) {
  out.scale[k] = static_cast<uint8_t>(in.scales[k] + 128);
  const float s = V::half(in.d) * in.scales[k];
  return {s, 32 * s};
}
template <Simd V>
void keep_super_scale(const BlockQ3_K& in, KCodes& out) {
  out.d = in.d;
}
template <Simd V>
void keep_super_scale(const BlockQ6_K& in, KCodes& out) {
  out.d = in.d;
}
template <Simd V, class Block>
void keep_super_scale(const Block& in, KCodes& out) {
  out.d = in.d;
  out.dmin = in.dmin;
}

template <Simd V, class Block, int kSub, int kLast>
void recode_k(const RecodeJob& job) noexcept {
  Block block;
  std::memcpy(&block, job.block, sizeof block);
  KCodes codes;
  keep_super_scale<V>(block, codes);
  for (int k = 0; k < kSuperBlock / kSub; ++k) {
    const KScale scale = unpack_scale<V>(block, k, codes);
    const auto per_s = V::splat(scale.s == 0 ? 0 : 1 / scale.s), b = V::splat(scale.b);
    for (int j = kSub * k; j < kSub * (k + 1); j += 8)
      V::store_u8(codes.q + j, V::to_i(clamp<V>((V::load(job.x + j) + b) * per_s, 0, kLast)));
  }
  pack<V>(codes, block);
  std::memcpy(job.block, &block, sizeof block);
}

template <Simd V>
void recode_q2_K(const RecodeJob& job) noexcept {
  recode_k<V, BlockQ2_K, 16, 3>(job);
}
template <Simd V>
void recode_q3_K(const RecodeJob& job) noexcept {
  recode_k<V, BlockQ3_K, 16, 7>(job);
}
template <Simd V>
void recode_q4_K(const RecodeJob& job) noexcept {
  recode_k<V, BlockQ4_K, 32, 15>(job);
}
template <Simd V>
void recode_q5_K(const RecodeJob& job) noexcept {
  recode_k<V, BlockQ5_K, 32, 31>(job);
}
template <Simd V>
void recode_q6_K(const RecodeJob& job) noexcept {
  recode_k<V, BlockQ6_K, 16, 63>(job);
}

}  // namespace snug

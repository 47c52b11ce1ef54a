#pragma once

#include <cstring>

#include "quant/kernels/bits.hpp"
#include "quant/kernels/decode_kquant.hpp"
#include "quant/kernels/encode_kquant_affine.hpp"
#include "quant/kernels/encode_kquant_symmetric.hpp"

// The five row encoders: a search, then its codes and scales put where blocks.hpp says.

namespace snug {

/// What a search found, in row order; the codes and scales of q3_K and q6_K are stored with their offset
/// added.
struct KCodes {
  uint8_t q[kSuperBlock];
  uint8_t scale[16], min[16];
  uint16_t d, dmin;
};

/// Out of lanes, into row order: codes(j) gives the codes of element j of the group's sub-blocks.
template <Simd V, int kSub, class Codes>
void place_codes(int group, const Codes& codes, KCodes& out) {
  for (int j = 0; j < kSub; j += 8) {
    typename V::f32 rows[8];
    for (int i = 0; i < 8; ++i) rows[i] = codes(j + i);
    V::transpose(rows);
    for (int lane = 0; lane < 8; ++lane)
      V::store_u8(out.q + (8 * group + lane) * kSub + j, V::to_i(rows[lane]));
  }
}
template <Simd V>
void place_scales(int group, typename V::f32 scales, uint8_t* out) {
  V::store_u8(out + 8 * group, V::to_i(scales));
}

/// Never worse for more effort: the lesser search is part of the greater.
template <class Search, class Effort>
typename Search::Plan best_plan(Search& search, const Efforts<Effort>& efforts, bool hard) {
  const auto plan = search.search(efforts.normal);
  if (!hard) return plan;
  const auto other = search.search(efforts.max);
  return other.error < plan.error * (1 - 0x1p-17f) ? other : plan;  // no change for what may be rounding
}

/// False where the block is best left all zero.
template <Simd V, int kSub, int kCodes, int kScales>
bool search_block(const Efforts<AffineEffort>& efforts, bool hard, const float* row, const float* mean_square,
                  KCodes& out) {
  AffineSearch<V, kSub, kCodes, kScales> search;
  if (!search.tile.load(row, mean_square)) return false;
  const auto plan = best_plan(search, efforts, hard);
  const int sign = plan.way ? 0x8000 : 0;
  out.d = static_cast<uint16_t>(plan.half_d ^ sign);
  out.dmin = static_cast<uint16_t>(plan.half_dmin ^ sign);
  for (int g = 0; g < search.kGroups; ++g) {
    place_scales<V>(g, plan.sc[g], out.scale);
    place_scales<V>(g, plan.mn[g], out.min);
    const auto per_s = inverse<V>(search.scale(plan, g)), b = search.offset(plan, g);
    place_codes<V, kSub>(
        g, [&](int j) { return search.codes(plan, g, j, per_s, b); }, out);
  }
  return true;
}

template <Simd V, int kSub, int kCodes, int kScales>
bool search_block(const Efforts<SymmetricEffort>& efforts, bool hard, const float* row,
                  const float* mean_square, KCodes& out) {
  SymmetricSearch<V, kSub, kCodes, kScales> search;
  if (!search.tile.load(row, mean_square)) return false;
  const auto plan = best_plan(search, efforts, hard);
  out.d = plan.half_d;
  for (int g = 0; g < search.kGroups; ++g) {
    place_scales<V>(g, plan.scale[g] + V::splat(kScales), out.scale);
    const auto per_s = inverse<V>(search.scale(plan, g));
    place_codes<V, kSub>(
        g, [&](int j) { return search.codes(g, j, per_s) + V::splat(kCodes); }, out);
  }
  return true;
}

/// Two bits of each code, as the Q2 plane has them.
template <Simd V>
void pack_q2_plane(const uint8_t* q, uint8_t* plane) {
  for (int half = 0; half < 2; ++half)
    for (int l = 0; l < 32; ++l) {
      const uint8_t* at = q + 128 * half + l;
      plane[32 * half + l] =
          static_cast<uint8_t>((at[0] & 3) | (at[32] & 3) << 2 | (at[64] & 3) << 4 | (at[96] & 3) << 6);
    }
}
/// Four bits of each code, as q4_K and q5_K have them.
template <Simd V>
void pack_nibbles(const uint8_t* q, uint8_t* nibbles) {
  for (int pair = 0; pair < 4; ++pair)
    for (int l = 0; l < 32; ++l)
      nibbles[32 * pair + l] =
          static_cast<uint8_t>((q[64 * pair + l] & 15) | (q[64 * pair + 32 + l] & 15) << 4);
}
/// Bit `bit` of the code of weight 32 k + l in bit k of plane[l].
template <Simd V>
void pack_bit_plane(const uint8_t* q, int bit, uint8_t* plane) {
  for (int l = 0; l < 32; ++l) {
    int bits = 0;
    for (int k = 0; k < 8; ++k) bits |= (q[32 * k + l] >> bit & 1) << k;
    plane[l] = static_cast<uint8_t>(bits);
  }
}
template <Simd V>
void pack_k4_scales(const uint8_t* sc, const uint8_t* mn, uint8_t* out) {
  for (int k = 0; k < 4; ++k) {
    out[k] = static_cast<uint8_t>(sc[k] | (sc[k + 4] >> 4) << 6);
    out[k + 4] = static_cast<uint8_t>(mn[k] | (mn[k + 4] >> 4) << 6);
    out[k + 8] = static_cast<uint8_t>((sc[k + 4] & 15) | (mn[k + 4] & 15) << 4);
  }
}

template <Simd V>
void pack(const KCodes& c, BlockQ2_K& out) {
  for (int k = 0; k < 16; ++k) out.scales[k] = static_cast<uint8_t>(c.scale[k] | c.min[k] << 4);
  pack_q2_plane<V>(c.q, out.qs);
  out.d = c.d;
  out.dmin = c.dmin;
}
template <Simd V>
void pack(const KCodes& c, BlockQ3_K& out) {
  pack_bit_plane<V>(c.q, 2, out.hmask);
  pack_q2_plane<V>(c.q, out.qs);
  for (int k = 0; k < 8; ++k)
    out.scales[k] = static_cast<uint8_t>((c.scale[k] & 15) | (c.scale[k + 8] & 15) << 4);
  for (int k = 0; k < 4; ++k)
    out.scales[8 + k] = static_cast<uint8_t>(c.scale[k] >> 4 | (c.scale[k + 4] >> 4) << 2 |
                                             (c.scale[k + 8] >> 4) << 4 | (c.scale[k + 12] >> 4) << 6);
  out.d = c.d;
}
template <Simd V>
void pack(const KCodes& c, BlockQ4_K& out) {
  out.d = c.d;
  out.dmin = c.dmin;
  pack_k4_scales<V>(c.scale, c.min, out.scales);
  pack_nibbles<V>(c.q, out.qs);
}
template <Simd V>
void pack(const KCodes& c, BlockQ5_K& out) {
  out.d = c.d;
  out.dmin = c.dmin;
  pack_k4_scales<V>(c.scale, c.min, out.scales);
  pack_bit_plane<V>(c.q, 4, out.qh);
  pack_nibbles<V>(c.q, out.qs);
}
template <Simd V>
void pack(const KCodes& c, BlockQ6_K& out) {
  for (int half = 0; half < 2; ++half)
    for (int l = 0; l < 32; ++l) {
      const uint8_t* q = c.q + 128 * half + l;
      out.ql[64 * half + l] = static_cast<uint8_t>((q[0] & 15) | (q[64] & 15) << 4);
      out.ql[64 * half + 32 + l] = static_cast<uint8_t>((q[32] & 15) | (q[96] & 15) << 4);
      out.qh[32 * half + l] =
          static_cast<uint8_t>(q[0] >> 4 | (q[32] >> 4) << 2 | (q[64] >> 4) << 4 | (q[96] >> 4) << 6);
    }
  for (int k = 0; k < 16; ++k) out.scales[k] = static_cast<int8_t>(c.scale[k] - 128);
  out.d = c.d;
}

template <Simd V, class Block, int kSub, int kCodes, int kScales, class Effort>
void encode_k_row(const EncodeJob& job, const Efforts<Effort>& efforts) {
  auto* out = static_cast<uint8_t*>(job.blocks);
  for (int64_t at = 0; at < job.cols; at += kSuperBlock, out += sizeof(Block)) {
    KCodes codes;
    Block block{};
    const float* mean_square = job.mean_square ? job.mean_square + at : nullptr;
    if (search_block<V, kSub, kCodes, kScales>(efforts, job.hard, job.x + at, mean_square, codes))
      pack<V>(codes, block);
    std::memcpy(out, &block, sizeof block);
  }
}

template <Simd V>
void encode_q2_K(const EncodeJob& job) noexcept {
  encode_k_row<V, BlockQ2_K, 16, 3, 15>(job, kAffineEffort<3>);
}
template <Simd V>
void encode_q3_K(const EncodeJob& job) noexcept {
  encode_k_row<V, BlockQ3_K, 16, 4, 32>(job, kSymmetricEffort<4>);
}
template <Simd V>
void encode_q4_K(const EncodeJob& job) noexcept {
  encode_k_row<V, BlockQ4_K, 32, 15, 63>(job, kAffineEffort<15>);
}
template <Simd V>
void encode_q5_K(const EncodeJob& job) noexcept {
  encode_k_row<V, BlockQ5_K, 32, 31, 63>(job, kAffineEffort<31>);
}
template <Simd V>
void encode_q6_K(const EncodeJob& job) noexcept {
  encode_k_row<V, BlockQ6_K, 16, 32, 128>(job, kSymmetricEffort<32>);
}

// Then the same once more, with the scales that a block has: what an element decodes to is s q - b, with s and b
// those of its sub-block, and q is the nearest code.

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

template <Simd V>
constexpr CodecRow kKCodecs[] = {
    {FormatId::q2_K, {encode_q2_K<V>, decode_q2_K<V>, recode_q2_K<V>}},
    {FormatId::q3_K, {encode_q3_K<V>, decode_q3_K<V>, recode_q3_K<V>}},
    {FormatId::q4_K, {encode_q4_K<V>, decode_q4_K<V>, recode_q4_K<V>}},
    {FormatId::q5_K, {encode_q5_K<V>, decode_q5_K<V>, recode_q5_K<V>}},
    {FormatId::q6_K, {encode_q6_K<V>, decode_q6_K<V>, recode_q6_K<V>}},
};

}  // namespace snug

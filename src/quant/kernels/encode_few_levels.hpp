#pragma once

#include "quant/kernels/encode_legacy.hpp"

// q1_0 q2_0 tq1_0 tq2_0: two to four levels and one f16 scale to many weights.

namespace snug {

inline constexpr float kLadderQ2[] = {2.4f,  2.1f,  1.9f,  1.7f,  1.5f,  1.2f,  2.8f,  3.4f,
                                      -2.4f, -2.1f, -1.8f, -1.5f, -1.2f, -0.9f, -3.0f, -4.0f};
inline constexpr float kLadderTernary[] = {0.9f, 1.2f, 1.6f, 2.2f, 3.0f, 4.0f, 6.0f, 9.0f};
inline constexpr float kTypicalQ2[] = {0.75f, 0.9f, 1.1f, 1.4f, -0.75f, -0.9f, -1.1f, -1.4f};
inline constexpr float kTypicalTernary[] = {0.5f, 0.62f, 0.72f, 0.82f, 0.92f, 1.05f, 1.25f, 1.6f};
inline constexpr FineLadder<24> kFineQ2{0.8f, 6.0f};
inline constexpr FineLadder<48> kFineTernary{0.6f, 20.0f};

/// The codes are the signs; the best scale is the weighted mean magnitude.
template <Simd V>
void encode_q1_0(const EncodeJob& job) noexcept {
  encode_blocks<V, BlockQ1_0, 128>(job, [&](BlockQ1_0& out, const Prepared<128>& b) {
    auto total = V::zero(), weight = V::zero();
    for (int j = 0; j < 128; j += 8) {
      const auto w = V::load(b.w + j);
      total = V::fma(w, V::abs(V::load(b.x + j)), total);
      weight = weight + w;
      out.qs[j / 8] = static_cast<uint8_t>(V::bits(V::le(V::zero(), V::load(b.x + j))));
    }
    const float d = V::sum(total) / V::sum(weight);
    out.d = V::to_half(d < 65504.0f ? d : 65504.0f);
  });
}

template <Simd V>
void encode_q2_0(const EncodeJob& job) noexcept {
  using Levels = Uniform<-1, 2>;
  encode_blocks<V, BlockQ2_0, 64>(job, [&](BlockQ2_0& out, const Prepared<64>& b) {
    const float d = choose_scale<V, Levels>(b, {kLadderQ2, 16, kTypicalQ2, 8, 2},
                                            {kFineQ2.levels, 48, kTypicalQ2, 8, 4}, job.hard)
                        .scale;
    out.d = V::to_half(d);
    uint8_t codes[64];
    for (int j = 0; j < 64; j += 8) V::store_u8(codes + j, codes_at<V, Levels>(b.x + j, d));
    for (int j = 0; j < 16; ++j) {
      const uint8_t* c = codes + 4 * j;
      out.qs[j] = static_cast<uint8_t>(c[0] | c[1] << 2 | c[2] << 4 | c[3] << 6);
    }
  });
}

/// A scale for 256 weights in {-1, 0, 1} times it, and the codes 0, 1, 2.
template <Simd V>
uint16_t encode_ternary(const Prepared<256>& b, bool hard, uint8_t* codes) noexcept {
  using Levels = Uniform<-1, 1>;
  const float d = choose_scale<V, Levels>(b, {kLadderTernary, 8, kTypicalTernary, 8, 2},
                                          {kFineTernary.levels, 48, kTypicalTernary, 8, 4}, hard)
                      .scale;
  for (int j = 0; j < 256; j += 8) V::store_u8(codes + j, codes_at<V, Levels>(b.x + j, d));
  return V::to_half(d);
}

template <Simd V>
void put_trits(BlockTq2_0& out, const uint8_t* codes) noexcept {
  for (int m = 0; m < 64; ++m) {
    const uint8_t* c = codes + 128 * (m / 32) + m % 32;
    out.qs[m] = static_cast<uint8_t>(c[0] | c[32] << 2 | c[64] << 4 | c[96] << 6);
  }
}
template <Simd V>
void put_trits(BlockTq1_0& out, const uint8_t* codes) noexcept {
  for (int m = 0; m < 32; ++m) out.qs[m] = pack_trits(codes + m, 32, 5);
  for (int m = 0; m < 16; ++m) out.qs[32 + m] = pack_trits(codes + 160 + m, 16, 5);
  for (int j = 0; j < 4; ++j) out.qh[j] = pack_trits(codes + 240 + j, 4, 4);
}

template <Simd V, class Block>
void encode_tq(const EncodeJob& job) noexcept {
  encode_blocks<V, Block, 256>(job, [&](Block& out, const Prepared<256>& b) {
    uint8_t codes[256];
    out.d = encode_ternary<V>(b, job.hard, codes);
    put_trits<V>(out, codes);
  });
}
template <Simd V, class Block>
void recode_tq(const RecodeJob& job) noexcept {
  auto& block = *static_cast<Block*>(job.block);
  uint8_t codes[256];
  for (int j = 0; j < 256; j += 8)
    V::store_u8(codes + j, codes_at<V, Uniform<-1, 1>>(job.x + j, V::half(block.d)));
  put_trits<V>(block, codes);
}

template <Simd V>
void encode_tq1_0(const EncodeJob& job) noexcept {
  encode_tq<V, BlockTq1_0>(job);
}
template <Simd V>
void recode_tq1_0(const RecodeJob& job) noexcept {
  recode_tq<V, BlockTq1_0>(job);
}
template <Simd V>
void encode_tq2_0(const EncodeJob& job) noexcept {
  encode_tq<V, BlockTq2_0>(job);
}
template <Simd V>
void recode_tq2_0(const RecodeJob& job) noexcept {
  recode_tq<V, BlockTq2_0>(job);
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

template <Simd V>
constexpr CodecRow kFewLevelsCodecs[] = {
    {FormatId::q1_0, {encode_q1_0<V>, decode_q1_0<V>}},
    {FormatId::q2_0, {encode_q2_0<V>, decode_q2_0<V>}},
    {FormatId::tq1_0, {encode_tq1_0<V>, decode_tq1_0<V>, recode_tq1_0<V>}},
    {FormatId::tq2_0, {encode_tq2_0<V>, decode_tq2_0<V>, recode_tq2_0<V>}},
};

}  // namespace snug

#pragma once

#include "quant/kernels/encode_search.hpp"

// q4_0 q5_0 q8_0 iq4_nl q1_0 q2_0 tq1_0 tq2_0: one f16 scale a block.

namespace snug {

/// Calls encode(block, prepared) for each block of the row.
template <Simd V, class Block, int n, class Encode>
void encode_blocks(const EncodeJob& job, Encode encode) noexcept {
  auto* block = static_cast<Block*>(job.blocks);
  Prepared<n> prepared;
  for (int64_t b = 0; b < job.cols / n; ++b) {
    prepare<V, n>(job, b * n, prepared);
    encode(block[b], prepared);
  }
}

/// Packs 2 * half codes (code(j) gives those of weights j..j + 7) into nibbles: j low, j + half high.
template <Simd V, int half, class Code>
void put_nibbles(uint8_t* qs, Code code) noexcept {
  for (int j = 0; j < half; j += 8) V::store_u8(qs + j, code(j) | V::template shl<4>(code(j + half)));
}

// The levels that the widest weight may be taken to. Negative ones matter where the levels are not symmetric.
inline constexpr float kLadder4[] = {-8.6f, -8.3f, -8.0f, -7.7f, -7.4f, -7.0f, -6.5f, -9.3f,
                                     8.0f,  7.7f,  7.4f,  7.0f,  6.6f,  6.1f,  8.6f,  10.5f};
inline constexpr float kLadder5[] = {-16.9f, -16.5f, -16.1f, -15.8f, -15.5f, -15.1f, -14.5f, -18.0f,
                                     16.2f,  15.8f,  15.5f,  15.1f,  14.7f,  14.2f,  17.2f,  20.0f};
inline constexpr float kLadderIq4[] = {-135, -128, -122, -116, -110, -103, -95, -145,
                                       135,  128,  121,  115,  109,  102,  94,  150};
inline constexpr float kLadderQ2[] = {2.4f,  2.1f,  1.9f,  1.7f,  1.5f,  1.2f,  2.8f,  3.4f,
                                      -2.4f, -2.1f, -1.8f, -1.5f, -1.2f, -0.9f, -3.0f, -4.0f};
inline constexpr float kLadderTernary[] = {0.9f, 1.2f, 1.6f, 2.2f, 3.0f, 4.0f, 6.0f, 9.0f};
inline constexpr float kLadder8[] = {126.5f, 127.3f, 128.2f, 129.4f, 131.0f, -127.7f, -128.4f, -130.0f};

// The levels that the weighted root mean square may be taken to.
inline constexpr float kTypical4[] = {-2.1f, -2.6f, -3.2f, -4.0f, 2.1f, 2.6f, 3.2f, 4.0f};
inline constexpr float kTypical5[] = {-4.2f, -5.3f, -6.5f, -8.0f, 4.2f, 5.3f, 6.5f, 8.0f};
inline constexpr float kTypicalIq4[] = {-33, -41, -50, -62, 33, 41, 50, 62};
inline constexpr float kTypicalQ2[] = {0.75f, 0.9f, 1.1f, 1.4f, -0.75f, -0.9f, -1.1f, -1.4f};
inline constexpr float kTypicalTernary[] = {0.5f, 0.62f, 0.72f, 0.82f, 0.92f, 1.05f, 1.25f, 1.6f};

/// `count` levels from `from` to `to`, and the same below zero: the ladder of Effort::max.
template <int count>
struct FineLadder {
  float levels[2 * count];
  constexpr FineLadder(float from, float to) : levels{} {
    for (int k = 0; k < count; ++k) {
      const float part = static_cast<float>(k) / (count - 1);
      levels[k] = from + (to - from) * part;
      levels[count + k] = -levels[k];
    }
  }
};
inline constexpr FineLadder<24> kFine4{5.0f, 16.0f};
inline constexpr FineLadder<24> kFine5{12.0f, 28.0f};
inline constexpr FineLadder<24> kFineIq4{85.0f, 210.0f};
inline constexpr FineLadder<24> kFineQ2{0.8f, 6.0f};
inline constexpr FineLadder<48> kFineTernary{0.6f, 20.0f};

template <Simd V>
void encode_q4_0(const EncodeJob& job) noexcept {
  using Levels = Uniform<-8, 7>;
  encode_blocks<V, BlockQ4_0, 32>(job, [&](BlockQ4_0& out, const Prepared<32>& b) {
    const float d = choose_scale<V, Levels>(b, {kLadder4, 16, kTypical4, 8, 2},
                                            {kFine4.levels, 48, kTypical4, 8, 4}, job.hard)
                        .scale;
    out.d = V::to_half(d);
    put_nibbles<V, 16>(out.qs, [&](int j) { return codes_at<V, Levels>(b.x + j, d); });
  });
}

template <Simd V>
void encode_iq4_nl(const EncodeJob& job) noexcept {
  encode_blocks<V, BlockIq4Nl, 32>(job, [&](BlockIq4Nl& out, const Prepared<32>& b) {
    const float d = choose_scale<V, Iq4Levels>(b, {kLadderIq4, 16, kTypicalIq4, 8, 1},
                                               {kFineIq4.levels, 48, kTypicalIq4, 8, 4}, job.hard)
                        .scale;
    out.d = V::to_half(d);
    put_nibbles<V, 16>(out.qs, [&](int j) { return codes_at<V, Iq4Levels>(b.x + j, d); });
  });
}

/// Splits 32 five-bit codes into nibbles and their fifth bits.
template <Simd V, class Code>
void put_five_bits(uint8_t* qh, uint8_t* qs, Code code) noexcept {
  put_nibbles<V, 16>(qs, [&](int j) { return code(j) & V::splat_i(15); });
  for (int j = 0; j < 32; j += 8) qh[j / 8] = static_cast<uint8_t>(V::bits(V::lt_i(V::splat_i(15), code(j))));
}

template <Simd V>
void encode_q5_0(const EncodeJob& job) noexcept {
  using Levels = Uniform<-16, 15>;
  encode_blocks<V, BlockQ5_0, 32>(job, [&](BlockQ5_0& out, const Prepared<32>& b) {
    const float d = choose_scale<V, Levels>(b, {kLadder5, 16, kTypical5, 8, 2},
                                            {kFine5.levels, 48, kTypical5, 8, 4}, job.hard)
                        .scale;
    out.d = V::to_half(d);
    put_five_bits<V>(out.qh, out.qs, [&](int j) { return codes_at<V, Levels>(b.x + j, d); });
  });
}

/// The scale is stored already; `inverse` is 1 over it, or 0.
template <Simd V>
void put_q8_0_codes(BlockQ8_0& out, const float* x, float inverse) noexcept {
  const auto by = V::splat(inverse);
  const auto code = [&](int j) { return V::to_i(clamp<V>(V::load(x + j) * by, -128, 127)); };
  V::store_i8x32(out.qs, code(0), code(8), code(16), code(24));
}

/// Takes the widest weight of each of `count` blocks to 127; only the codes see the rounded scale. The maxima
/// of eight blocks are turned into one vector, so that they share two divisions instead of waiting for two
/// each.
template <Simd V, int count>
void encode_q8_0_blocks(BlockQ8_0* blocks, const float* x) noexcept {
  typename V::f32 widest[8];
  for (int k = 0; k < 8; ++k) widest[k] = V::zero();
  for (int k = 0; k < count; ++k) {
    const auto pair = [&](int j) {
      return V::max(V::abs(V::load(x + 32 * k + j)), V::abs(V::load(x + 32 * k + j + 8)));
    };
    prefetch<4096>(x + 32 * k, 32 * sizeof *x);
    widest[k] = V::max(pair(0), pair(16));
  }
  V::transpose(widest);
  for (int step = 4; step; step /= 2)
    for (int k = 0; k < step; ++k) widest[k] = V::max(widest[k], widest[k + step]);

  uint16_t scales[8];
  V::store_half(scales, V::min(widest[0] / V::splat(127), V::splat(65504.0f)));
  const auto d = V::load_half(scales);
  float inverses[8];
  V::store(inverses, V::select(V::eq(d, V::zero()), V::zero(), V::splat(1) / d));
  in_memory(scales);
  in_memory(inverses);
  for (int k = 0; k < count; ++k) {
    blocks[k].d = scales[k];
    put_q8_0_codes<V>(blocks[k], x + 32 * k, inverses[k]);
  }
}

/// Normal effort, bound by memory.
template <Simd V>
void encode_q8_0_fast(const EncodeJob& job) noexcept {
  auto* blocks = static_cast<BlockQ8_0*>(job.blocks);
  const int64_t count = job.cols / 32;
  int64_t b = 0;
  for (; b + 8 <= count; b += 8) encode_q8_0_blocks<V, 8>(blocks + b, job.x + 32 * b);
  for (; b < count; ++b) encode_q8_0_blocks<V, 1>(blocks + b, job.x + 32 * b);
}

template <Simd V>
float q8_0_error(const Prepared<32>& b, float d) noexcept {
  const auto inverse = V::splat(d == 0 ? 0 : 1 / d);
  auto error = V::zero();
  for (int j = 0; j < 32; j += 8) {
    const auto x = V::load(b.x + j);
    const auto e = x - V::splat(d) * Uniform<-128, 127>::level<V>(x * inverse);
    error = V::fma(V::load(b.w + j) * e, e, error);
  }
  return V::sum(error);
}

/// The widest weight taken to eight other levels, a lane each.
template <Simd V>
typename V::f32 q8_0_scales(float widest) noexcept {
  const auto limit = V::splat(65504.0f);
  const auto scales = V::splat(widest) / V::load(kLadder8);
  uint16_t stored[8];
  V::store_half(stored, V::max(V::min(scales, limit), -limit));
  return V::load_half(stored);
}

template <Simd V>
void encode_q8_0(const EncodeJob& job) noexcept {
  encode_q8_0_fast<V>(job);
  if (!job.hard) return;
  encode_blocks<V, BlockQ8_0, 32>(job, [&](BlockQ8_0& out, const Prepared<32>& b) {
    const auto scales = q8_0_scales<V>(b.widest);
    const auto errors = scale_errors<V, Uniform<-128, 127>>(b.x, b.w, 32, scales);
    if (!(V::min_of(errors) < q8_0_error<V>(b, V::half(out.d)))) return;
    const float d = Candidates<V>::pick(-errors, scales);
    out.d = V::to_half(d);
    put_q8_0_codes<V>(out, b.x, d == 0 ? 0 : 1 / d);
  });
}

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

}  // namespace snug

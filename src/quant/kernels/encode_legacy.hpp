#pragma once

#include "quant/kernels/decode_blocks.hpp"
#include "quant/kernels/encode_search.hpp"

// q4_0 q5_0 q8_0 iq4_nl: one f16 scale to 32 weights.

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
inline constexpr float kLadder8[] = {126.5f, 127.3f, 128.2f, 129.4f, 131.0f, -127.7f, -128.4f, -130.0f};

// The levels that the weighted root mean square may be taken to.
inline constexpr float kTypical4[] = {-2.1f, -2.6f, -3.2f, -4.0f, 2.1f, 2.6f, 3.2f, 4.0f};
inline constexpr float kTypical5[] = {-4.2f, -5.3f, -6.5f, -8.0f, 4.2f, 5.3f, 6.5f, 8.0f};
inline constexpr float kTypicalIq4[] = {-33, -41, -50, -62, 33, 41, 50, 62};

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

template <Simd V>
void decode_q4_0(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ4_0, 32>(blocks, cols, row, [](const BlockQ4_0& b, float* y) {
    const auto d = V::splat(V::half(b.d));
    each_nibble<V, 16>(b.qs, y, [&](float* to, auto n) { V::store(to, d * V::to_f(n - V::splat_i(8))); });
  });
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
constexpr CodecRow kLegacyCodecs[] = {
    {FormatId::q4_0, {encode_q4_0<V>, decode_q4_0<V>}},
    {FormatId::q5_0, {encode_q5_0<V>, decode_q5_0<V>}},
    {FormatId::q8_0, {encode_q8_0<V>, decode_q8_0<V>}},
    {FormatId::iq4_nl, {encode_iq4_nl<V>, decode_iq4_nl<V>}},
};

}  // namespace snug

#pragma once

#include "quant/kernels/encode_legacy.hpp"

// mxfp4 and nvfp4: few scales are storable, so the lanes simply try them.

namespace snug {

/// 32 weights brought to where the widest is in [1, 2), a scale for them and its stored exponent.
struct Fp4Group {
  float x[32];
  float scale;
  uint8_t exponent;  // the scale is 2^(exponent - 128), times what x was multiplied with
};

/// Chooses among eight powers of two, from far too coarse to far too fine.
template <Simd V>
void choose_fp4_exponent(const EncodeJob& job, int64_t at, Fp4Group& out) noexcept {
  float w[32];
  load_importance<V, 32>(job, at, w);
  auto most = V::zero();
  for (int j = 0; j < 32; j += 8) most = V::max(most, V::abs(V::load(job.x + at + j)));
  const int biased = static_cast<int>(bits_of_float(V::max_of(most)) >> 23);
  const int exponent = biased < 1 ? -126 : biased > 253 ? 126 : biased - 127;
  const auto down = V::splat(float_of_bits(static_cast<uint32_t>(127 - exponent) << 23));
  for (int j = 0; j < 32; j += 8) V::store(out.x + j, V::load(job.x + at + j) * down);

  float scales[8], stored[8];  // kFp4 goes to 12: an exponent of -3 takes the widest to 8..16
  for (int k = 0; k < 8; ++k) {
    const int e = exponent + 128 - 1 - k;
    const int storable = e < 0 ? 0 : e > 252 ? 252 : e;  // 12 times 2^125 would be infinite
    stored[k] = static_cast<float>(storable);
    scales[k] = float_of_bits(static_cast<uint32_t>(storable - 128 - exponent + 127) << 23);
  }
  const auto errors = scale_errors<V, Fp4Levels>(out.x, w, 32, V::load(scales));
  out.scale = Candidates<V>::pick(-errors, V::load(scales));
  out.exponent = static_cast<uint8_t>(Candidates<V>::pick(-errors, V::load(stored)));
}

template <Simd V>
void encode_mxfp4(const EncodeJob& job) noexcept {
  auto* block = static_cast<BlockMxfp4*>(job.blocks);
  for (int64_t at = 0; at < job.cols; at += 32) {
    Fp4Group group;
    choose_fp4_exponent<V>(job, at, group);
    block[at / 32].e = group.exponent;
    put_nibbles<V, 16>(block[at / 32].qs,
                       [&](int j) { return codes_at<V, Fp4Levels>(group.x + j, group.scale); });
  }
}

/// Tries `count` codes (a multiple of 8) downwards from one that takes the widest weight to less than half
/// the last level: with that at 6 or 8 of 12 the others may fall better.
template <Simd V>
uint8_t choose_nvfp4_scale(const float* x, const float* w, int count) noexcept {
  auto most = V::max(V::abs(V::load(x)), V::abs(V::load(x + 8)));
  const int first = nvfp4_code_below(V::max_of(most) / 5) + 1;
  float least = 3e38f;
  int best = 0;
  for (int k = 0; k < count && first - k > 0; k += 8) {
    float codes[8], scales[8];
    for (int i = 0; i < 8; ++i) {
      const int code = first - k - i;
      codes[i] = static_cast<float>(code < 0 ? 0 : code > 126 ? 126 : code);
      scales[i] = nvfp4_scale(static_cast<uint8_t>(codes[i]));
    }
    const auto errors = scale_errors<V, Fp4Levels>(x, w, 16, V::load(scales));
    if (V::min_of(errors) >= least) continue;
    least = V::min_of(errors);
    best = static_cast<int>(Candidates<V>::pick(-errors, V::load(codes)));
  }
  return static_cast<uint8_t>(best);
}

template <Simd V>
void encode_nvfp4(const EncodeJob& job) noexcept {
  encode_blocks<V, BlockNvfp4, 64>(job, [&](BlockNvfp4& out, const Prepared<64>& b) {
    for (int s = 0; s < 4; ++s) {
      const float* x = b.x + 16 * s;
      out.d[s] = choose_nvfp4_scale<V>(x, b.w + 16 * s, job.hard ? 64 : 24);
      const float scale = nvfp4_scale(out.d[s]);
      put_nibbles<V, 8>(out.qs + 8 * s, [&](int j) { return codes_at<V, Fp4Levels>(x + j, scale); });
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
constexpr CodecRow kFp4Codecs[] = {
    {FormatId::mxfp4, {encode_mxfp4<V>, decode_mxfp4<V>}},
    {FormatId::nvfp4, {encode_nvfp4<V>, decode_nvfp4<V>}},
};

}  // namespace snug

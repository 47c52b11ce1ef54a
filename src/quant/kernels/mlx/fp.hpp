#pragma once

#include "quant/kernels/encode_fp4.hpp"
#include "quant/kernels/mlx/affine.hpp"
#include "quant/kernels/mlx/fp_stock.hpp"

// MLX's floating-point modes. The two of four bits mean what GGUF's formats of these names mean, with their codes in
// another order: the searches are the same.

namespace snug {

template <Simd V, class Block, class Scale>
void decode_mlx_fp4(const void* blocks, int64_t cols, float* row, Scale scale_of) noexcept {
  decode_blocks<Block, static_cast<int>(Block::kWeights)>(blocks, cols, row, [&](const Block& b, float* y) {
    const auto scale = V::splat(scale_of(b.scale));
    for (uint32_t j = 0; j < Block::kWeights; j += 8)
      V::store(y + j, scale * V::lookup16(kE2m1, load_codes<V, 4>(b.codes + j / 2)));
  });
}

template <Simd V>
void decode_mlx_mxfp4(const void* blocks, int64_t cols, float* row) noexcept {
  decode_mlx_fp4<V, BlockMlxMxfp4>(blocks, cols, row, [](uint8_t code) { return e8m0_value(code); });
}
template <Simd V>
void decode_mlx_nvfp4(const void* blocks, int64_t cols, float* row) noexcept {
  decode_mlx_fp4<V, BlockMlxNvfp4>(blocks, cols, row, [](uint8_t code) { return e4m3_value<V>(code); });
}

template <Simd V>
void decode_mlx_mxfp8(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockMlxMxfp8, 32>(blocks, cols, row, [](const BlockMlxMxfp8& b, float* y) {
    const auto scale = V::splat(e8m0_value(b.scale));
    for (int j = 0; j < 32; j += 8) V::store(y + j, scale * e4m3_values<V>(V::load_u8(b.codes + j)));
  });
}

template <Simd V>
void encode_mlx_mxfp4(const EncodeJob& job) noexcept {
  auto* block = static_cast<BlockMlxMxfp4*>(job.blocks);
  for (int64_t at = 0; at < job.cols; at += 32) {
    Fp4Group group;
    choose_fp4_exponent<V>(job, at, group);
    block[at / 32].scale = group.exponent;  // 2^(e - 128) of doubled levels is 2^(e - 127) of theirs
    for (int j = 0; j < 32; j += 8)
      store_codes<V, 4>(block[at / 32].codes + j / 2, codes_at<V, Fp4Levels>(group.x + j, group.scale));
  }
}

template <Simd V>
void encode_mlx_nvfp4(const EncodeJob& job) noexcept {
  encode_blocks<V, BlockMlxNvfp4, 16>(job, [&](BlockMlxNvfp4& out, const Prepared<16>& b) {
    out.scale = choose_nvfp4_scale<V>(b.x, b.w, job.hard ? 64 : 24);
    const float scale = nvfp4_scale(out.scale);
    for (int j = 0; j < 16; j += 8) store_codes<V, 4>(out.codes + j / 2, codes_at<V, Fp4Levels>(b.x + j, scale));
  });
}

/// Values of E4M3, to the nearest.
struct E4m3Levels {
  template <Simd V>
  static typename V::f32 level(typename V::f32 t) noexcept {
    return e4m3_values<V>(code<V>(t));
  }
  template <Simd V>
  static typename V::i32 code(typename V::f32 t) noexcept {
    return e4m3_codes<V>(t);
  }
};

/// Chooses among eight powers of two: the coarsest wastes a code's exponents, the finest clips.
template <Simd V>
void encode_mlx_mxfp8(const EncodeJob& job) noexcept {
  auto* block = static_cast<BlockMlxMxfp8*>(job.blocks);
  for (int64_t at = 0; at < job.cols; at += 32) {
    float x[32], w[32], scales[8], stored[8];
    load_importance<V, 32>(job, at, w);
    auto most = V::zero();
    for (int j = 0; j < 32; j += 8) most = V::max(most, V::abs(V::load(job.x + at + j)));
    const int biased = static_cast<int>(bits_of_float(V::max_of(most)) >> 23);
    const int exponent = biased < 1 ? -126 : biased > 253 ? 126 : biased - 127;
    const auto down = V::splat(float_of_bits(static_cast<uint32_t>(127 - exponent) << 23));
    for (int j = 0; j < 32; j += 8) V::store(x + j, V::load(job.x + at + j) * down);
    for (int k = 0; k < 8; ++k) {
      const int e = exponent + 127 - 6 - k;  // -8 takes the widest to 256..512, of 448
      const int storable = e < 0 ? 0 : e > 246 ? 246 : e;
      stored[k] = static_cast<float>(storable);
      scales[k] = float_of_bits(static_cast<uint32_t>(storable - exponent) << 23);
    }
    const auto errors = scale_errors<V, E4m3Levels>(x, w, 32, V::load(scales));
    const float scale = Candidates<V>::pick(-errors, V::load(scales));
    block[at / 32].scale = static_cast<uint8_t>(Candidates<V>::pick(-errors, V::load(stored)));
    for (int j = 0; j < 32; j += 8)
      V::store_u8(block[at / 32].codes + j, codes_at<V, E4m3Levels>(x + j, scale));
  }
}

template <Simd V>
constexpr CodecRow kMlxFpCodecs[] = {
    {FormatId::mlx_mxfp4, {encode_mlx_mxfp4<V>, decode_mlx_mxfp4<V>, nullptr, encode_mlx_mxfp4_stock<V>}},
    {FormatId::mlx_nvfp4, {encode_mlx_nvfp4<V>, decode_mlx_nvfp4<V>, nullptr, encode_mlx_nvfp4_stock<V>}},
    {FormatId::mlx_mxfp8, {encode_mlx_mxfp8<V>, decode_mlx_mxfp8<V>, nullptr, encode_mlx_mxfp8_stock<V>}},
};

}  // namespace snug

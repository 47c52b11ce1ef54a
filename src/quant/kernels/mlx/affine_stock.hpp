#pragma once

#include "quant/kernels/mlx/affine.hpp"

// MLX's own rounding to affine codes, bit for bit, by either of its rules (MlxRule).

namespace snug {

/// Scales and biases of eight groups, a lane each, before they are rounded to what is stored.
template <Simd V, bool gpu>
void stock_scales(const Eight<V>& low, const Eight<V>& high, float codes, float* scales, float* biases) noexcept {
  const auto lo = low.least(), hi = high.largest();
  const auto step = (hi - lo) / V::splat(codes);
  const auto low_is_larger = V::lt(V::abs(hi), V::abs(lo));
  const auto size = V::select(V::lt(V::splat(1e-7f), step), step, V::splat(1e-7f));
  const auto scale = V::select(low_is_larger, size, -size), edge = V::select(low_is_larger, lo, hi);
  const auto ratio = edge / scale;
  const auto beyond = V::le(V::splat(0x1p22f), V::abs(ratio));  // constant groups: any bias will do
  const auto steps = V::select(beyond, ratio, whole<V, gpu>(ratio));
  const auto none = V::eq(steps, V::zero());
  V::store(scales, V::select(none, scale, edge / steps));
  V::store(biases, V::select(none, V::zero(), edge));
}

/// Extremes of a group, lane by lane; at least 0 where the largest must be.
template <Simd V, bool gpu>
void extremes(const float* x, int n, typename V::f32& low, typename V::f32& high) noexcept {
  low = V::load(x);
  high = gpu ? V::max(V::load(x), V::zero()) : V::load(x);
  for (int j = 8; j < n; j += 8) {
    low = V::min(low, V::load(x + j));
    high = V::max(high, V::load(x + j));
  }
}

/// Codes 0..top of eight weights; halves to even, or away from zero.
template <Simd V, bool gpu>
typename V::i32 stock_codes(typename V::f32 x, typename V::f32 scale, typename V::f32 bias, int top) noexcept {
  const auto code = clamp<V>((x - bias) / scale, 0, top);
  if constexpr (!gpu) return V::to_i(code);
  return V::cut_i(code + V::splat(0x1.fffffep-2f));  // the number below a half: the sum's rounding does the rest
}

template <Simd V, class Block, bool gpu>
void encode_affine_group(const float* x, float scale, float bias, Block& block) noexcept {
  constexpr int n = static_cast<int>(Block::kWeights), bits = Block::kBits;
  using Number = Stored<V, Block::kType>;
  for (int j = 0; j < n; j += 32) {
    typename V::i32 codes[4];
    for (int k = 0; k < 4; ++k)
      codes[k] = stock_codes<V, gpu>(V::load(x + j + 8 * k), V::splat(scale), V::splat(bias), (1 << bits) - 1);
    store_32_codes<V, bits>(block.codes + j * bits / 8, codes);
  }
  block.scale = Number::nearest(scale);
  block.bias = Number::nearest(bias);
}

/// Eight groups at a time, for their scales.
template <Simd V, class Block, bool gpu>
void encode_affine_stock(const StockJob& job) noexcept {
  constexpr int n = static_cast<int>(Block::kWeights);
  const int64_t count = job.cols / n;
  auto* block = static_cast<Block*>(job.blocks);
  for (int64_t b = 0; b < count; b += 8) {
    const float* x = job.x + b * n;
    const int64_t some = count - b < 8 ? count - b : 8;
    prefetch<4096>(x, 8 * n * sizeof *x);
    Eight<V> low, high;
    for (int64_t k = 0; k < 8; ++k) extremes<V, gpu>(x + (k < some ? k : 0) * n, n, low.of[k], high.of[k]);
    float scales[8], biases[8];
    stock_scales<V, gpu>(low, high, (1 << Block::kBits) - 1, scales, biases);
    for (int64_t k = 0; k < some; ++k)
      encode_affine_group<V, Block, gpu>(x + k * n, scales[k], biases[k], block[b + k]);
  }
}

template <Simd V, class Block>
void encode_affine_as_mlx(const StockJob& job) noexcept {
  job.rule.device == MlxRule::Device::gpu ? encode_affine_stock<V, Block, true>(job)
                                          : encode_affine_stock<V, Block, false>(job);
}

}  // namespace snug

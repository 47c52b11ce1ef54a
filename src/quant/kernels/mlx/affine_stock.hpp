#pragma once

#include "quant/kernels/mlx/affine.hpp"

// MLX's own rounding to affine codes, bit for bit, by either of its rules (MlxRule).

namespace snug {

/// Scale and bias before they are rounded to what is stored.
struct AffineStock {
  float scale, bias;
};

template <Simd V, bool gpu>
AffineStock stock_scale(const float* x, int n, float codes) noexcept {
  auto low = V::load(x), high = gpu ? V::max(V::load(x), V::zero()) : V::load(x);
  for (int j = 8; j < n; j += 8) {
    low = V::min(low, V::load(x + j));
    high = V::max(high, V::load(x + j));
  }
  const float lo = V::min_of(low), hi = V::max_of(high), step = (hi - lo) / codes;
  const bool low_is_larger = (lo < 0 ? -lo : lo) > (hi < 0 ? -hi : hi);
  const float size = step > 1e-7f ? step : 1e-7f, scale = low_is_larger ? size : -size;
  const float edge = low_is_larger ? lo : hi, ratio = edge / scale;
  const bool beyond = ratio >= 0x1p22f || ratio <= -0x1p22f;  // a constant group: any bias will do
  const float steps = beyond ? ratio : V::max_of(whole<V, gpu>(V::splat(ratio)));
  return steps != 0 ? AffineStock{edge / steps, edge} : AffineStock{scale, 0};
}

/// Codes 0..top of eight weights; halves to even, or away from zero.
template <Simd V, bool gpu>
typename V::i32 stock_codes(typename V::f32 x, typename V::f32 scale, typename V::f32 bias, int top) noexcept {
  const auto code = clamp<V>((x - bias) / scale, 0, top);
  if constexpr (!gpu) return V::to_i(code);
  return V::cut_i(code + V::splat(0x1.fffffep-2f));  // the number below a half: the sum's rounding does the rest
}

template <Simd V, class Block, bool gpu>
void encode_affine_stock(const StockJob& job) noexcept {
  constexpr int n = static_cast<int>(Block::kWeights), bits = Block::kBits;
  using Number = Stored<V, Block::kType>;
  auto* block = static_cast<Block*>(job.blocks);
  for (int64_t b = 0; b < job.cols / n; ++b) {
    const float* x = job.x + b * n;
    prefetch<4096>(x, n * sizeof *x);
    const AffineStock stock = stock_scale<V, gpu>(x, n, (1 << bits) - 1);
    const auto scale = V::splat(stock.scale), bias = V::splat(stock.bias);
    for (int j = 0; j < n; j += 32) {
      typename V::i32 codes[4];
      for (int k = 0; k < 4; ++k)
        codes[k] = stock_codes<V, gpu>(V::load(x + j + 8 * k), scale, bias, (1 << bits) - 1);
      store_32_codes<V, bits>(block[b].codes + j * bits / 8, codes);
    }
    block[b].scale = Number::nearest(stock.scale);
    block[b].bias = Number::nearest(stock.bias);
  }
}

template <Simd V, class Block>
void encode_affine_as_mlx(const StockJob& job) noexcept {
  job.rule.device == MlxRule::Device::gpu ? encode_affine_stock<V, Block, true>(job)
                                          : encode_affine_stock<V, Block, false>(job);
}

}  // namespace snug

#pragma once

#include "infer/kernels/product.hpp"
#include "quant/blocks_mlx.hpp"

// MLX's mxfp8: codes that are small floats are no integers, so they are multiplied as f32, with activations as they
// are.

namespace snug::infer {
namespace {

/// Sixteen lanes, whose products of a block are summed before its scale multiplies them.
template <class V>
float dot_mxfp8(const BlockMlxMxfp8* blocks, const float* x, int64_t count) {
  typename V::f32 sum[2] = {V::zero(), V::zero()};
  for (int64_t b = 0; b < count; ++b) {
    prefetch<4096>(blocks + b, sizeof *blocks);
    const float* in = x + 32 * b;
    const uint8_t* codes = blocks[b].codes;
    const auto scale = V::splat(e8m0_value(blocks[b].scale));
    for (int h = 0; h < 16; h += 8) {
      const auto first = V::e4m3(codes + h) * V::load(in + h);
      const auto part = V::fma(V::e4m3(codes + 16 + h), V::load(in + 16 + h), first);
      sum[h / 8] = V::fma(part * V::splat(256), scale, sum[h / 8]);
    }
  }
  return V::sum(sum[0] + sum[1]);
}

template <class V>
void dots_of_mxfp8(const PackedRows& rows, const RoundedRow& x, float* y) {
  for (int64_t r = 0; r < rows.count; ++r)
    y[r] = dot_mxfp8<V>(reinterpret_cast<const BlockMlxMxfp8*>(rows.data + r * rows.row_bytes), x.x,
                        rows.cols / 32);
}

template <class V>
struct UnpackMxfp8 {
  using Kernel = RealKernel<V>;
  static constexpr int64_t kColumns = kStretch / 2;

  static void unpack(const std::byte* row, int64_t column, int64_t columns, Unpacked& u, int64_t r) {
    const auto* blocks = reinterpret_cast<const BlockMlxMxfp8*>(row) + column / 32;
    float* to = reinterpret_cast<float*>(u.w[r]);
    for (int64_t k = 0; k < columns; k += 8) {
      const BlockMlxMxfp8& block = blocks[k / 32];
      V::store(to + k, V::e4m3(block.codes + k % 32) * V::splat(256) * V::splat(e8m0_value(block.scale)));
    }
  }
};

}  // namespace
}  // namespace snug::infer

#pragma once

#include "quant/kernels/encode_search.hpp"
#include "quant/kernels/mlx/affine.hpp"

// MLX's own rounding to its floating-point modes, bit for bit, by any of its rules (MlxRule), and the small floats
// they are made of.

namespace snug {
namespace {

/// E2M1: decoded codes.
constexpr float kE2m1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

}  // namespace

/// Values of E4M3 codes; NaN for the largest exponent and fraction.
template <Simd V>
typename V::f32 e4m3_values(typename V::i32 codes) noexcept {
  const auto magnitude = codes & V::splat_i(0x7f);
  const auto normal = V::bits_f(V::template shl<20>(magnitude + V::splat_i(120 << 3)));
  const auto small = V::to_f(magnitude) * V::splat(0x1p-9f);
  const auto number = V::select(V::lt_i(magnitude, V::splat_i(8)), small, normal);
  const auto is_none = V::eq_i(magnitude, V::splat_i(0x7f));
  const auto value = V::select(is_none, V::splat(__builtin_nanf("")), number);
  return V::bits_f(V::bits_i(value) | V::template shl<24>(codes & V::splat_i(0x80)));
}
template <Simd V>
float e4m3_value(uint8_t code) noexcept {
  return V::max_of(e4m3_values<V>(V::splat_i(code)));
}

/// The nearest E4M3, ties to even, at most 448; -0 keeps its sign.
template <Simd V>
typename V::i32 e4m3_codes(typename V::f32 t) noexcept {
  const auto a = V::min(V::abs(t), V::splat(448));
  const auto u = V::bits_i(a);
  const auto odd = V::template shr<20>(u) & V::splat_i(1);
  const auto normal = V::template shr<20>(u + V::splat_i(0x7ffff) + odd) - V::splat_i(120 << 3);
  const auto small = V::to_i(a * V::splat(0x1p9f));  // 8 is the least normal one
  const auto magnitude = V::select(V::lt(a, V::splat(0x1p-6f)), small, normal);
  return magnitude | (V::template shr<24>(V::bits_i(t)) & V::splat_i(0x80));
}

/// Rounded to what the weights are stored as.
template <Simd V>
typename V::f32 round_to(FormatId source, typename V::f32 x) noexcept {
  if (source == FormatId::f16) {
    uint16_t halves[8];
    V::store_half(halves, x);
    return V::load_half(halves);
  }
  if (source != FormatId::bf16) return x;
  const auto u = V::bits_i(x), odd = V::template shr<16>(u) & V::splat_i(1);
  return V::bits_f((u + V::splat_i(0x7fff) + odd) & V::splat_i(static_cast<int32_t>(0xffff0000u)));
}

/// The E2M1 magnitude nearest to a, 0 <= a; ties to even codes or towards zero. From 1 on it is what is left of a
/// float with one bit of fraction, below that halves are counted.
template <Simd V>
typename V::i32 e2m1_magnitudes(typename V::f32 a, bool ties_to_even) noexcept {
  const auto held = V::min(a, V::splat(6));
  const auto u = V::bits_i(held), one = V::splat_i(1), nothing = V::splat_i(0);
  const auto odd = ties_to_even ? V::template shr<22>(u) & one : nothing;
  const auto normal = V::template shr<22>(u + V::splat_i(0x1fffff) + odd) - V::splat_i(126 << 1);
  const auto above = [&](float at) { return V::select(V::lt(V::splat(at), held), one, nothing); };
  const auto small = ties_to_even ? V::to_i(held * V::splat(2)) : above(0.25f) + above(0.75f);
  return V::select(V::lt(held, V::splat(1)), small, normal);
}

/// E2M1 codes of t by the device's rule.
template <Simd V>
typename V::i32 e2m1_codes(typename V::f32 t, bool gpu) noexcept {
  const auto magnitude = e2m1_magnitudes<V>(V::abs(t), gpu);
  const auto sign = V::template shr<28>(V::bits_i(t)) & V::splat_i(8);
  if (gpu) return magnitude | sign;
  const auto nothing = V::splat_i(0);
  const auto finite = V::lt(V::abs(t), V::splat(__builtin_inff()));  // neither infinite nor NaN
  return V::select(finite & V::lt_i(nothing, magnitude), magnitude | sign, nothing);
}

template <Simd V>
typename V::f32 largest_magnitudes(const float* x, int n) noexcept {
  auto most = V::abs(V::load(x));
  for (int j = 8; j < n; j += 8) most = V::max(most, V::abs(V::load(x + j)));
  return most;
}

/// What scales of eight groups should be: the largest magnitude over the largest level. Groups from `some` on are
/// the first again.
template <Simd V>
typename V::f32 wanted_scales(const float* x, int n, int64_t some, float largest_level,
                              const MlxRule& rule) noexcept {
  Eight<V> most;
  for (int64_t k = 0; k < 8; ++k) most.of[k] = largest_magnitudes<V>(x + (k < some ? k : 0) * n, n);
  const auto d = most.largest() / V::splat(largest_level);
  return rule.device == MlxRule::Device::cpu ? round_to<V>(rule.source, d) : d;
}

/// The exponent nearest to log2 d, d > 0.
template <Simd V>
int nearest_exponent(float d, const MlxRule& rule) noexcept {
  const auto log = static_cast<float>(__builtin_log2(d));
  if (rule.device == MlxRule::Device::gpu) return static_cast<int>(V::min_of(whole<V, true>(V::splat(log))));
  return static_cast<int>(V::min_of(nearest<V>(round_to<V>(rule.source, V::splat(log)))));
}

/// The least e with 2^e >= d, d > 0.
inline constexpr int kMinExponent = -149;
template <Simd V>
int exponent_above(float d) noexcept {
  const uint32_t u = bits_of_float(d);
  if (u >> 23) return static_cast<int>(u >> 23) - 127 + ((u & 0x7fffff) != 0);
  int e = kMinExponent;
  while (u > 1u << (e - kMinExponent)) ++e;
  return e;
}

/// The stored exponent for the scale d.
template <Simd V>
uint8_t e8m0_code(float d, const MlxRule& rule) noexcept {
  const bool gpu = rule.device == MlxRule::Device::gpu;
  if (d == 0) return gpu ? 0 : 127;
  const int e = rule.exponent == MlxRule::Exponent::ceil ? exponent_above<V>(d) : nearest_exponent<V>(d, rule);
  if (!gpu) return static_cast<uint8_t>(e + 127);
  return static_cast<uint8_t>((e < -127 ? -127 : e > 127 ? 127 : e) + 127);
}

/// A group's scale as the device divides by it.
template <Simd V>
struct StockDivisor {
  typename V::f32 scale, inverse;

  StockDivisor(float s) noexcept : scale{V::splat(s)}, inverse{V::splat(s == 0 ? 0 : 1 / s)} {}
  typename V::f32 divide(const float* x, const MlxRule& rule) const noexcept {
    if (rule.device == MlxRule::Device::gpu) return V::load(x) * inverse;
    return round_to<V>(rule.source, V::load(x) / scale);
  }
};

/// Calls encode(block, x, scale) for each block with what choose(wanted, codes, scales) makes of the scales wanted
/// of eight: their codes are stored, and divided by is their value.
template <Simd V, class Block, class Choose, class Encode>
void encode_fp_stock(const StockJob& job, float largest_level, Choose choose, Encode encode) noexcept {
  constexpr int n = static_cast<int>(Block::kWeights);
  auto* block = static_cast<Block*>(job.blocks);
  const int64_t count = job.cols / n;
  for (int64_t b = 0; b < count; b += 8) {
    const float* x = job.x + b * n;
    const int64_t some = count - b < 8 ? count - b : 8;
    prefetch<4096>(x, 8 * n * sizeof *x);
    uint8_t codes[8];
    float scales[8];
    choose(wanted_scales<V>(x, n, some, largest_level, job.rule), codes, scales);
    for (int64_t k = 0; k < some; ++k) {
      encode(block[b + k], x + k * n, StockDivisor<V>{scales[k]});
      block[b + k].scale = codes[k];
    }
  }
}

/// Powers of two.
template <Simd V>
auto e8m0_scales(const MlxRule& rule) noexcept {
  return [&rule](typename V::f32 wanted, uint8_t* codes, float* scales) {
    V::store(scales, wanted);
    for (int k = 0; k < 8; ++k) {
      codes[k] = e8m0_code<V>(scales[k], rule);
      scales[k] = e8m0_value(codes[k]);
    }
  };
}

template <Simd V>
auto fp4_group(const MlxRule& rule) noexcept {
  return [&rule](auto& block, const float* x, const StockDivisor<V>& scale) {
    const bool gpu = rule.device == MlxRule::Device::gpu;
    const auto eight = [&](int j) { return e2m1_codes<V>(scale.divide(x + j, rule), gpu); };
    if constexpr (sizeof block.codes == 16) {
      const typename V::i32 codes[4] = {eight(0), eight(8), eight(16), eight(24)};
      store_32_codes<V, 4>(block.codes, codes);
    } else {
      uint8_t both[16];
      const typename V::i32 codes[4] = {eight(0), eight(8), V::splat_i(0), V::splat_i(0)};
      store_32_codes<V, 4>(both, codes);
      std::memcpy(block.codes, both, sizeof block.codes);
    }
  };
}

template <Simd V>
void encode_mlx_mxfp4_stock(const StockJob& job) noexcept {
  encode_fp_stock<V, BlockMlxMxfp4>(job, 6, e8m0_scales<V>(job.rule), fp4_group<V>(job.rule));
}
template <Simd V>
void encode_mlx_nvfp4_stock(const StockJob& job) noexcept {
  const auto choose = [](typename V::f32 wanted, uint8_t* codes, float* scales) {
    const auto chosen = e4m3_codes<V>(wanted);
    V::store_u8(codes, chosen);
    V::store(scales, e4m3_values<V>(chosen));
  };
  encode_fp_stock<V, BlockMlxNvfp4>(job, 6, choose, fp4_group<V>(job.rule));
}

template <Simd V>
void encode_mlx_mxfp8_stock(const StockJob& job) noexcept {
  const auto encode = [&](BlockMlxMxfp8& block, const float* x, const StockDivisor<V>& scale) {
    for (int j = 0; j < 32; j += 8) V::store_u8(block.codes + j, e4m3_codes<V>(scale.divide(x + j, job.rule)));
  };
  encode_fp_stock<V, BlockMlxMxfp8>(job, 448, e8m0_scales<V>(job.rule), encode);
}

}  // namespace snug

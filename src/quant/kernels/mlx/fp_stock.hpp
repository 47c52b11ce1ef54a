#pragma once

#include "quant/kernels/encode_search.hpp"
#include "quant/kernels/mlx/affine.hpp"

// MLX's own rounding to its floating-point modes, bit for bit, by any of its rules (MlxRule), and the small floats
// they are made of.

namespace snug {
namespace {

/// E2M1: decoded codes.
constexpr float kE2m1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

/// 2^(code - 127).
inline float e8m0_value(uint8_t code) {
  return float_of_bits(code == 0 ? 0x00400000u : static_cast<uint32_t>(code) << 23);
}

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

/// How many of the thresholds lie below a, those at `even` also where they are equal to it.
template <Simd V>
typename V::i32 e2m1_magnitudes(typename V::f32 a, bool ties_to_even) noexcept {
  constexpr float thresholds[7] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5};
  auto code = V::splat_i(0);
  for (int k = 0; k < 7; ++k) {
    const auto at = V::splat(thresholds[k]);
    const auto above = ties_to_even && k % 2 ? V::le(at, a) : V::lt(at, a);
    code = code + V::select(above, V::splat_i(1), V::splat_i(0));
  }
  return code;
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
float largest_magnitude(const float* x, int n) noexcept {
  auto most = V::abs(V::load(x));
  for (int j = 8; j < n; j += 8) most = V::max(most, V::abs(V::load(x + j)));
  return V::max_of(most);
}

/// What a group's scale should be: its largest magnitude over the largest level.
template <Simd V>
float wanted_scale(const float* x, int n, float largest_level, const MlxRule& rule) noexcept {
  const float d = largest_magnitude<V>(x, n) / largest_level;
  return rule.device == MlxRule::Device::cpu ? V::max_of(round_to<V>(rule.source, V::splat(d))) : d;
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

/// Eight weights over the scale, as the device divides.
template <Simd V>
typename V::f32 over_scale(const float* x, float scale, const MlxRule& rule) noexcept {
  if (rule.device == MlxRule::Device::gpu) return V::load(x) * V::splat(scale == 0 ? 0 : 1 / scale);
  return round_to<V>(rule.source, V::load(x) / V::splat(scale));
}

template <Simd V, class Block, class Choose>
void encode_fp4_stock(const StockJob& job, Choose choose) noexcept {
  constexpr int n = static_cast<int>(Block::kWeights);
  auto* block = static_cast<Block*>(job.blocks);
  const bool gpu = job.rule.device == MlxRule::Device::gpu;
  for (int64_t b = 0; b < job.cols / n; ++b) {
    const float* x = job.x + b * n;
    float scale = 0;
    block[b].scale = choose(wanted_scale<V>(x, n, 6, job.rule), scale);
    for (int j = 0; j < n; j += 8)
      store_codes<V, 4>(block[b].codes + j / 2, e2m1_codes<V>(over_scale<V>(x + j, scale, job.rule), gpu));
  }
}

template <Simd V>
void encode_mlx_mxfp4_stock(const StockJob& job) noexcept {
  encode_fp4_stock<V, BlockMlxMxfp4>(job, [&](float d, float& scale) {
    const uint8_t code = e8m0_code<V>(d, job.rule);
    scale = e8m0_value(code);
    return code;
  });
}
template <Simd V>
void encode_mlx_nvfp4_stock(const StockJob& job) noexcept {
  encode_fp4_stock<V, BlockMlxNvfp4>(job, [](float d, float& scale) {
    int32_t codes[8];
    V::store_i(codes, e4m3_codes<V>(V::splat(d)));
    scale = e4m3_value<V>(static_cast<uint8_t>(codes[0]));
    return static_cast<uint8_t>(codes[0]);
  });
}

template <Simd V>
void encode_mlx_mxfp8_stock(const StockJob& job) noexcept {
  auto* block = static_cast<BlockMlxMxfp8*>(job.blocks);
  for (int64_t b = 0; b < job.cols / 32; ++b) {
    const float* x = job.x + b * 32;
    block[b].scale = e8m0_code<V>(wanted_scale<V>(x, 32, 448, job.rule), job.rule);
    const float scale = e8m0_value(block[b].scale);
    for (int j = 0; j < 32; j += 8)
      V::store_u8(block[b].codes + j, e4m3_codes<V>(over_scale<V>(x + j, scale, job.rule)));
  }
}

}  // namespace snug

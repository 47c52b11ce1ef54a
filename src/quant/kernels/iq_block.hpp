#pragma once

#include "quant/blocks.hpp"
#include "quant/kernels/bits.hpp"
#include "quant/kernels/kernels.hpp"
#include "quant/kernels/simd.hpp"

// What the encoders of the codebook formats share: a super-block brought to a common range, and the choice of
// its super-scale and sub-scales.
//
// Every format decodes to y = t p, where p is a point (a codebook entry with its signs, or with its delta)
// and t = d unit (2s + 1) the scale of a sub-block. With weights v the error of some weights in point p is
//   sum v (t p - x)^2 = t^2 a - 2 t b + sum v x^2,   a = sum v p^2,   b = sum v p x:
// a parabola in t. A few points of every eight weights are found at scales spread over the likely range;
// their parabolas then tell the error of every super-scale and sub-scale without another search
// (iq_tried.hpp).

namespace snug {

constexpr int kMaxSubBlocks = 16;
constexpr int kMaxTrials = 28;

/// 256 weights scaled by a power of two so that the largest is in [1, 2), and their importance likewise.
struct IqBlock {
  alignas(32) float x[kSuperBlock], v[kSuperBlock];
  float up, down;     // weight = up x, x = down weight; both powers of two
  float energy;       // sum v x^2: the error of all zeros
  float seen_energy;  // the same without the traces of load_block
};

/// One super-scale with its sub-scales; d in the units of IqBlock::x, `bits` as stored.
struct IqScales {
  float d;
  uint16_t bits;
  uint8_t s[kMaxSubBlocks];
};

/// The parabolas of settled points, of whole sub-blocks.
struct IqSettled {
  alignas(32) float a[kMaxSubBlocks] = {}, b[kMaxSubBlocks] = {};
};

namespace {

inline float power_of_two_near(float x) {  // of a positive normal x, not above it
  return float_of_bits(bits_of_float(x) & 0x7f800000);
}

inline float inverse_power_of_two(float power) {  // exact for 2^-126 .. 2^126
  return float_of_bits(0x7f000000u - bits_of_float(power));
}

}  // namespace

template <Simd V>
float iq_largest(const float* x) {
  auto most = V::zero();
  for (int j = 0; j < kSuperBlock; j += 8) most = V::max(most, V::abs(V::load(x + j)));
  return V::max_of(most);
}

/// False where no f16 scale makes anything but zeros worth storing.
///
/// Columns nobody has looked at are still worth something: a trace of the mean importance, as long as they
/// make up no more than a thousandth of the energy. Where nothing that was looked at is there, all count the
/// same.
template <Simd V>
bool load_block(IqBlock& block, const float* x, const float* mean_square) {
  const float most = iq_largest<V>(x);
  if (!(most >= 0x1p-28f)) return false;
  block.up = power_of_two_near(most < 0x1p126f ? most : 0x1p126f);
  block.down = inverse_power_of_two(block.up);
  const float heaviest = mean_square ? iq_largest<V>(mean_square) : 0;
  const float to_one = heaviest < 0x1p-126f ? 0x1p126f : inverse_power_of_two(power_of_two_near(heaviest));
  auto seen = V::zero(), all = V::zero(), weight = V::zero();
  for (int j = 0; j < kSuperBlock; j += 8) {
    const auto xs = V::load(x + j) * V::splat(block.down);
    const auto vs = heaviest > 0 ? V::load(mean_square + j) * V::splat(to_one) : V::zero();
    V::store(block.x + j, xs);
    V::store(block.v + j, vs);
    seen = seen + vs * xs * xs;
    all = all + xs * xs;
    weight = weight + vs;
  }
  const float seen_energy = block.seen_energy = V::sum(seen), all_energy = V::sum(all);
  const float by_mean = V::sum(weight) * (1e-6f / kSuperBlock), by_energy = 1e-3f * seen_energy / all_energy;
  float trace = seen_energy > 0x1p-60f && by_energy < by_mean ? by_energy : by_mean;
  if (!(heaviest > 0)) trace = 1;
  for (int j = 0; j < kSuperBlock; j += 8) V::store(block.v + j, V::load(block.v + j) + V::splat(trace));
  block.energy = seen_energy + trace * all_energy;
  return true;
}

/// The scale that makes points of mean square 1 as large as the weights of a sub-block.
template <Simd V>
float typical_scale(const IqBlock& block, int from, int count) {
  auto energy = V::zero(), weight = V::zero();
  for (int j = from; j < from + count; j += 8) {
    const auto x = V::load(block.x + j), v = V::load(block.v + j);
    energy = energy + v * x * x;
    weight = weight + v;
  }
  alignas(32) float root[8];
  V::store(root, V::sqrt(V::splat(V::sum(energy) / V::sum(weight))));
  return root[0] > 1e-6f ? root[0] : 1e-6f;
}

/// The size of the element with the most weighted energy.
template <Simd V>
float weightiest(const IqBlock& block, int from, int count) {
  auto most = V::zero(), size = V::zero();
  for (int j = from; j < from + count; j += 8) {
    const auto x = V::load(block.x + j), energy = V::load(block.v + j) * x * x;
    size = V::select(V::lt(most, energy), V::abs(x), size);
    most = V::max(most, energy);
  }
  const auto top = V::eq(most, V::splat(V::max_of(most)));
  const float found = V::max_of(V::select(top, size, V::zero()));
  return found > 1e-6f ? found : 1e-6f;
}

/// How dear a wrong sign is, about, for magnitude a: rises as 4 reach a while that is less than the lowest
/// level (reach), and as its square beyond. Only the order among eight matters.
template <Simd V>
typename V::f32 wrong_sign_price(typename V::f32 a, typename V::f32 v, float reach) {
  return v * a * (a + V::splat(3 * reach));
}

/// The super-scale as it will be stored: a positive finite f16.
template <Simd V>
void set_scale(IqScales& scales, const IqBlock& block, float d) {
  float stored = d * block.up;
  if (!(stored < 65504.0f)) stored = 65504.0f;
  scales.bits = V::to_half(stored);
  if (scales.bits == 0) scales.bits = 1;
  scales.d = V::half(scales.bits) * block.down;
}

/// Scales for settled points.
template <Simd V, int kSubs>
struct IqRefit {
  using F = typename V::f32;

  float unit;
  float largest_sub_scale;

  /// Error less sum v x^2.
  float error(const IqSettled& p, const IqScales& scales) const {
    alignas(32) float multiple[kMaxSubBlocks];
    for (int b = 0; b < kSubs; ++b) multiple[b] = static_cast<float>(2 * scales.s[b] + 1);
    auto sum = V::zero();
    for (int v = 0; v < kSubs; v += 8) {
      const auto t = V::splat(scales.d * unit) * V::load(multiple + v);
      const auto b = V::load(p.b + v);
      sum = sum + t * (t * V::load(p.a + v) - b - b);
    }
    return V::sum(sum);
  }

  /// The best sub-scales for scales.d.
  void choose_sub_scales(const IqSettled& p, IqScales& scales) const {
    const auto per_d_unit = V::splat(1.0f / (scales.d * unit)), half = V::splat(0.5f);
    for (int v = 0; v < kSubs; v += 8) {
      const auto best = V::load(p.b + v) / V::max(V::load(p.a + v), V::splat(1e-30f));
      const auto s = V::round(best * per_d_unit * half - half);
      V::store_u8(scales.s + v, V::to_i(V::min(V::max(s, V::zero()), V::splat(largest_sub_scale))));
    }
  }

  /// Fits d, then s; keeps what was there if that is no better. Returns the error.
  float fit(const IqBlock& block, const IqSettled& p, IqScales& scales) const {
    float least = error(p, scales);
    float a = 0, b = 0;
    for (int k = 0; k < kSubs; ++k) {
      const float multiple = static_cast<float>(2 * scales.s[k] + 1) * unit;
      a += multiple * multiple * p.a[k];
      b += multiple * p.b[k];
    }
    if (!(a > 0 && b > 0)) return least;
    IqScales fitted = scales;
    set_scale<V>(fitted, block, b / a);
    for (int step = 0; step < 2; ++step) {
      if (step) choose_sub_scales(p, fitted);
      const float e = error(p, fitted);
      if (!(e < least)) continue;
      least = e;
      scales = fitted;
    }
    return least;
  }
};

}  // namespace snug

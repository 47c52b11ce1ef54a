#pragma once

#include "quant/blocks.hpp"
#include "quant/kernels/kernels.hpp"
#include "quant/kernels/simd.hpp"
#include "quant/kernels/whole.hpp"

// What the encoders of the K formats share: a super-block laid out with one sub-block to a lane, so that
// searching the scales of eight sub-blocks is plain lane arithmetic and sums over a sub-block are sums over
// vectors.

namespace snug {

/// Past every squared error: tiles are scaled to |x| < 4 and w < 2.
constexpr float kFar = 0x1p100f;
constexpr float kTiny = 0x1p-100f;

/// 1 / a, but 0 for 0.
template <Simd V>
typename V::f32 inverse(typename V::f32 a) {
  return V::select(V::eq(a, V::zero()), V::zero(), V::splat(1.0f) / a);
}

/// Puts a plan among the `count` best so far, least error first; at most `room` are kept. Returns the new
/// count.
template <class Plan>
int keep_best(const Plan& plan, Plan* best, int count, int room) {
  if (count == room && !(plan.error < best[count - 1].error)) return count;
  int at = count < room ? count++ : count - 1;
  for (; at > 0 && plan.error < best[at - 1].error; --at) best[at] = best[at - 1];
  best[at] = plan;
  return count;
}

template <Simd V>
float power_of_two(int32_t biased_exponent) {
  alignas(32) float out[8];
  V::store(out, V::bits_f(V::template shl<23>(V::splat_i(biased_exponent))));
  return out[0];
}

template <Simd V>
int32_t biased_exponent(float x) {
  alignas(32) int32_t out[8];
  V::store_i(out, V::template shr<23>(V::bits_i(V::splat(x))));
  return out[0];
}

/// One super-block: 256 weights and what their errors are weighed with, both brought near 1 by powers of two.
///
///   x, w   [group][element][lane]: element j of sub-block 8 group + lane
///   unit   weight = unit x; what is stored as f16 is unit times the scale found for x
///
/// Weights of zero are raised to a trace (2^-40 of the largest): a sub-block nobody looks at is fitted
/// evenly.
template <Simd V, int kSub>
struct KTile {
  static constexpr int kGroups = kSuperBlock / (8 * kSub);
  using F = typename V::f32;

  alignas(32) float x[kSuperBlock], w[kSuperBlock];
  float unit, per_unit;

  F x_at(int group, int j) const { return V::load(x + 8 * (group * kSub + j)); }
  F w_at(int group, int j) const { return V::load(w + 8 * (group * kSub + j)); }

  /// False where every weight is nearer to 0 than to the least positive f16: then all-zero bytes are the best
  /// block.
  bool load(const float* row, const float* mean_square) {
    const int32_t exponent = biased_exponent<V>(largest(row));
    if (exponent < 127 - 25) return false;
    unit = power_of_two<V>(exponent - 1);
    per_unit = power_of_two<V>(255 - exponent);
    transpose(row, per_unit, x);
    const float most = mean_square ? largest(mean_square) : 0.0f;
    if (!(most > 0)) {
      for (int i = 0; i < kSuperBlock; i += 8) V::store(w + i, V::splat(1.0f));
      return true;
    }
    const int32_t down = 253 - biased_exponent<V>(most);
    transpose(mean_square, power_of_two<V>(down < 1 ? 1 : down), w);
    for (int i = 0; i < kSuperBlock; i += 8) V::store(w + i, V::max(V::load(w + i), V::splat(0x1p-40f)));
    return true;
  }

  /// The f16 nearest to scale (in units of x), and what it decodes to, again in units of x.
  /// Never infinite, and 0 for 0 only.
  float stored(float scale, uint16_t& half) const {
    float wanted = scale * unit;
    wanted = wanted > 65504.0f ? 65504.0f : wanted < -65504.0f ? -65504.0f : wanted;
    half = V::to_half(wanted);
    if ((half & 0x7fff) == 0 && scale != 0)
      half |= 1;  // whole sub-scales can still do something with the least f16
    return V::half(half) * per_unit;
  }

 private:
  static float largest(const float* p) {
    F most = V::zero();
    for (int i = 0; i < kSuperBlock; i += 8) most = V::max(V::abs(V::load(p + i)), most);
    return V::max_of(most);
  }
  static void transpose(const float* in, float scale, float* out) {
    const F k = V::splat(scale);
    for (int group = 0; group < kGroups; ++group)
      for (int j = 0; j < kSub; j += 8) {
        F rows[8];
        for (int lane = 0; lane < 8; ++lane) rows[lane] = V::load(in + (8 * group + lane) * kSub + j);
        V::transpose(rows);
        for (int i = 0; i < 8; ++i) V::store(out + 8 * (group * kSub + j + i), rows[i] * k);
      }
  }
};

}  // namespace snug

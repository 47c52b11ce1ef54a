#pragma once

#include "quant/kernels/iq_block.hpp"

namespace snug {

/// Points of every eight weights, found at a few scales; any of them may be taken at any scale.
///
/// The lanes are the sub-blocks: group i of each of them is looked at together. Where all groups of a
/// sub-block must agree on something (the shift of iq1_s), points that do are a set: a sub-block takes all
/// from one.
template <Simd V, int kSubs, int kSets>
struct IqTried {
  static constexpr int kGroups = kSuperBlock / 8 / kSubs;  // in a sub-block
  using F = typename V::f32;

  int trials = 0;  // in each set
  alignas(32) float a[kSets][kMaxTrials][kGroups][kSubs], twice_b[kSets][kMaxTrials][kGroups][kSubs];
  uint16_t entry[kSets][kMaxTrials][kGroups][kSubs][2];

  /// Error less sum v x^2 of the best points at scales t of eight sub-blocks from `sub` on.
  F error(int sub, F t) const {
    F least = one_set(0, sub, t);
    if constexpr (kSets == 2) least = V::min(least, one_set(1, sub, t));
    return least;
  }

  F one_set(int set, int sub, F t) const {
    F sum = V::zero();
    for (int i = 0; i < kGroups; ++i) {
      F least = V::splat(0x1p100f);
      for (int k = 0; k < trials; ++k)
        least = V::min(least, t * (t * V::load(&a[set][k][i][sub]) - V::load(&twice_b[set][k][i][sub])));
      sum = sum + least;
    }
    return sum;
  }

  /// The real scales at which eight sub-blocks are best, about: of the best trial, with its points only.
  F best_scale(int sub) const {
    F best = V::zero(), gain = V::zero();
    for (int set = 0; set < kSets; ++set)
      for (int k = 0; k < trials; ++k) {
        F sum_a = V::zero(), sum_b = V::zero();
        for (int i = 0; i < kGroups; ++i) {
          sum_a = sum_a + V::load(&a[set][k][i][sub]);
          sum_b = sum_b + V::load(&twice_b[set][k][i][sub]);
        }
        const F t = sum_b / V::max(sum_a + sum_a, V::splat(1e-30f));
        best = V::select(V::lt(gain, t * sum_b), t, best);
        gain = V::max(gain, t * sum_b);
      }
    return best;
  }

  /// The best point of a group at scale t; e is its error less sum v x^2.
  int best_trial(int set, int group, int sub, float t, float& e) const {
    int best = 0;
    e = 0x1p100f;
    for (int k = 0; k < trials; ++k) {
      const float here = t * (t * a[set][k][group][sub] - twice_b[set][k][group][sub]);
      best = here < e ? k : best;
      e = here < e ? here : e;
    }
    return best;
  }
};

/// The best of a geometric range of super-scales, none of which leaves the largest sub-block out of reach by
/// much.
struct IqRange {
  int candidates;
  float low, step;
};

template <Simd V, int kSubs, int kSets>
IqScales choose_scales(const IqBlock& block, const IqTried<V, kSubs, kSets>& tried,
                       const IqRefit<V, kSubs>& form, IqRange range) {
  using F = typename V::f32;
  F wanted[kSubs / 8], widest = V::zero();
  for (int v = 0; v < kSubs / 8; ++v) {
    wanted[v] = tried.best_scale(8 * v);
    widest = V::max(widest, wanted[v]);
  }
  const float middle = V::max_of(widest) / (form.unit * (2 * form.largest_sub_scale + 1));
  const F one = V::splat(1.0f), half = V::splat(0.5f), top = V::splat(form.largest_sub_scale);
  IqScales best{}, scales{};
  float least = 0x1p100f, d = middle * range.low;
  for (int c = 0; c < range.candidates; ++c, d *= range.step) {
    set_scale<V>(scales, block, d);
    const F d_unit = V::splat(scales.d * form.unit), per_d_unit = V::splat(1.0f / (scales.d * form.unit));
    F sum = V::zero();
    for (int v = 0; v < kSubs / 8; ++v) {
      const F above = V::max(V::round(wanted[v] * per_d_unit * half), V::zero()), below = above - one;
      const F s[2] = {V::max(V::min(below, top), V::zero()), V::min(above, top)};
      const F e[2] = {tried.error(8 * v, d_unit * (s[0] + s[0] + one)),
                      tried.error(8 * v, d_unit * (s[1] + s[1] + one))};
      const auto m = V::lt(e[1], e[0]);
      sum = sum + V::select(m, e[1], e[0]);
      V::store_u8(scales.s + 8 * v, V::to_i(V::select(m, s[1], s[0])));
    }
    if (const float e = V::sum(sum); e < least) {
      least = e;
      best = scales;
    }
  }
  return best;
}

}  // namespace snug

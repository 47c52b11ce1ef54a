#pragma once

#include "quant/kernels/encode_kquant.hpp"
#include "quant/kernels/encode_kquant_effort.hpp"

// q2_K, q4_K, q5_K: y = d sc q - dmin mn, with sc and mn whole numbers per sub-block and d, dmin f16 per
// super-block. In order: real scales and minima for every sub-block; a few (d, dmin) that suit them all; for
// each of these whole sc and mn by their true error, codes following; d and dmin again by least squares, and
// round once more.

namespace snug {

template <Simd V, int kSub, int kCodes, int kScales>
struct AffineSearch {
  using F = typename V::f32;
  using Tile = KTile<V, kSub>;
  static constexpr int kGroups = Tile::kGroups, kSubBlock = kSub;

  /// Over the elements of each sub-block, with codes q: sum w q, sum w q q, sum w q x.
  struct Sums {
    F q, qq, qx;
  };
  /// y = s q - b, and the sums of the codes it came from; gain = spread - squared error.
  struct Fit {
    F s, b, gain;
    Sums sums;
  };
  struct Plan {
    float d, dmin, error;
    uint16_t half_d, half_dmin;
    F sc[kGroups], mn[kGroups];
  };

  Tile tile;
  F weight[kGroups], mean[kGroups], spread[kGroups];  // sum w, mean x, sum w (x - mean)^2
  Fit fit[kGroups];

  Plan search(const AffineEffort& effort) {
    Plan starts[kMaxStarts];
    Sums kept[kGroups];
    for (int g = 0; g < kGroups; ++g) {
      take_moments(g);
      fit_group(g, effort);
    }
    const int found = choose(effort, starts);
    Plan best[kMaxStarts];
    int count = 0;
    for (int i = 0; i < found; ++i) {
      round_scales(starts[i]);
      improve(starts[i], effort.reach, kept);
      count = keep_best(starts[i], best, count, effort.keep);
    }
    for (int i = 0; i < count; ++i) finish(best[i], effort);
    int least = 0;
    for (int i = 1; i < count; ++i)
      if (best[i].error < best[least].error) least = i;
    return best[least];
  }

  F scale(const Plan& p, int g) const { return p.sc[g] * V::splat(p.d); }
  F offset(const Plan& p, int g) const { return p.mn[g] * V::splat(p.dmin); }
  F codes(int g, int j, F per_s, F b) const { return codes_of((tile.x_at(g, j) + b) * per_s); }

 private:
  static F codes_of(F t) { return nearest<V>(clamp<V>(t, 0, kCodes)); }
  static F clamp_scale(F t) { return clamp<V>(t, 0, kScales); }
  static F whole_scale(F t) { return nearest<V>(clamp_scale(t)); }
  static float per(float a) { return a > 0 ? 1 / a : 0; }

  Sums sums(int g, F per_s, F shift) const {
    Sums out{V::zero(), V::zero(), V::zero()};
    for (int j = 0; j < kSub; ++j) {
      const F x = tile.x_at(g, j);
      const F q = codes_of(x * per_s + shift);
      const F wq = tile.w_at(g, j) * q;
      out.q = out.q + wq;
      out.qq = out.qq + wq * q;
      out.qx = out.qx + wq * x;
    }
    return out;
  }
  Sums sums_of(const Plan& p, int g) const {
    const F per_s = inverse<V>(scale(p, g));
    return sums(g, per_s, offset(p, g) * per_s);
  }

  void take_moments(int g) {
    F w = V::zero(), wx = V::zero(), wdd = V::zero();
    for (int j = 0; j < kSub; ++j) {
      w = w + tile.w_at(g, j);
      wx = wx + tile.w_at(g, j) * tile.x_at(g, j);
    }
    mean[g] = wx / w;
    for (int j = 0; j < kSub; ++j) {
      const F d = tile.x_at(g, j) - mean[g];
      wdd = wdd + tile.w_at(g, j) * d * d;
    }
    weight[g] = w;
    spread[g] = wdd;
  }

  /// The best s and b >= 0 for these codes.
  Fit solve(int g, const Sums& c) const {
    const F tiny = V::splat(kTiny);
    const F mean_q = c.q / weight[g];
    const F qq = c.qq - c.q * mean_q, qx = c.qx - c.q * mean[g];
    const F s = qx / V::max(qq, tiny), b = s * mean_q - mean[g];
    const F s0 = V::max(c.qx, V::zero()) / V::max(c.qq, tiny);
    const auto at_bound = V::lt(b, V::zero()) | V::lt(qq, c.qq * V::splat(0x1p-17f));
    return {V::select(at_bound, s0, s), V::select(at_bound, V::zero(), b),
            V::select(at_bound, s0 * c.qx - mean[g] * mean[g] * weight[g], s * qx), c};
  }
  static Sums select(typename V::mask m, const Sums& a, const Sums& b) {
    return {V::select(m, a.q, b.q), V::select(m, a.qq, b.qq), V::select(m, a.qx, b.qx)};
  }
  static Fit better(const Fit& a, const Fit& b) {
    const auto m = V::lt(a.gain, b.gain);
    return {V::select(m, b.s, a.s), V::select(m, b.b, a.b), V::select(m, b.gain, a.gain),
            select(m, b.sums, a.sums)};
  }

  /// Real s and b of each sub-block: ranges a little narrower and wider than its own, then alternating least
  /// squares.
  void fit_group(int g, const AffineEffort& effort) {
    F low = V::zero(), high = tile.x_at(g, 0);
    for (int j = 0; j < kSub; ++j) {
      low = V::min(low, tile.x_at(g, j));
      high = V::max(high, tile.x_at(g, j));
    }
    const F per_range = V::splat(1.0f) / V::max(high - low, V::splat(0x1p-60f));
    const F flat = V::max(-mean[g], V::zero());  // b of a sub-block whose codes are all 0
    const F off = mean[g] + flat;
    Fit best{V::zero(), flat, -(off * off * weight[g]), {V::zero(), V::zero(), V::zero()}};
    for (int i = -effort.shrinks; i <= effort.shrinks; ++i)
      for (int k = -effort.shifts; k <= effort.shifts; ++k) {
        const F per_s = V::splat(kCodes + effort.shrink * static_cast<float>(i)) * per_range;
        const F shift = V::splat(effort.shift * static_cast<float>(k)) - low * per_s;
        best = better(best, solve(g, sums(g, per_s, shift)));
      }
    for (int i = 0; i < effort.fit_rounds; ++i) {
      const F per_s = inverse<V>(best.s);
      best = better(best, solve(g, sums(g, per_s, best.b * per_s)));
    }
    fit[g] = best;
  }

  /// Squared error of y = s q - b for the codes summed.
  F error(int g, const Sums& c, F s, F b) const {
    const F shift = b + mean[g];
    const F qx = c.qx - c.q * mean[g];
    return s * (s * c.qq - V::splat(2.0f) * (shift * c.q + qx)) + shift * shift * weight[g] + spread[g];
  }
  /// The best b for scale s and the codes summed.
  F best_offset(int g, const Sums& c, F s) const {
    return V::max(s * (c.q / weight[g]) - mean[g], V::zero());
  }

  /// Error of the fits' codes with whole sc; with whole mn too, unless dmin is 0.
  float rounded_error(float d, float dmin) const {
    F total = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      const F s = whole_scale(fit[g].s * V::splat(per(d))) * V::splat(d);
      const F ideal = best_offset(g, fit[g].sums, s);
      const F b = dmin > 0 ? whole_scale(ideal * V::splat(per(dmin))) * V::splat(dmin) : ideal;
      total = total + error(g, fit[g].sums, s, b);
    }
    return V::sum(total);
  }

  /// The most promising d, each with its dmin, best first. Returns how many.
  int choose(const AffineEffort& effort, Plan* best) const {
    F s = V::zero(), b = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      s = V::max(s, fit[g].s);
      b = V::max(b, fit[g].b);
    }
    int count = 0;
    Plan p{};
    for (int i = -2; i < effort.d_steps; ++i) {
      p.d = tile.stored(V::max_of(s) / (kScales + effort.d_step * static_cast<float>(i)), p.half_d);
      p.error = rounded_error(p.d, 0);
      count = keep_best(p, best, count, effort.starts);
    }
    for (int n = 0; n < count; ++n) {
      best[n].error = kFar;
      for (int i = -2; i < effort.d_steps; ++i) {
        p.dmin = tile.stored(V::max_of(b) / (kScales + effort.d_step * static_cast<float>(i)), p.half_dmin);
        p.error = rounded_error(best[n].d, p.dmin);
        if (!(p.error < best[n].error)) continue;
        best[n].error = p.error;
        best[n].dmin = p.dmin;
        best[n].half_dmin = p.half_dmin;
      }
    }
    return count;
  }

  void round_scales(Plan& p) const {
    for (int g = 0; g < kGroups; ++g) {
      p.sc[g] = whole_scale(fit[g].s * V::splat(per(p.d)));
      p.mn[g] = whole_scale(best_offset(g, fit[g].sums, scale(p, g)) * V::splat(per(p.dmin)));
    }
  }

  /// Each sub-block's sc and its neighbours: new codes, and the mn that suits them.
  void improve(Plan& p, int reach, Sums* kept) const {
    F total = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      const F sc = p.sc[g], b = offset(p, g);
      F least = V::splat(kFar);
      for (int i = -reach; i <= reach; ++i) {
        const F k = clamp_scale(sc + V::splat(static_cast<float>(i)));
        const F s = k * V::splat(p.d), per_s = inverse<V>(s);
        const Sums c = sums(g, per_s, b * per_s);
        const F n = whole_scale(best_offset(g, c, s) * V::splat(per(p.dmin)));
        const F e = error(g, c, s, n * V::splat(p.dmin));
        const auto m = V::lt(e, least);
        least = V::select(m, e, least);
        p.sc[g] = V::select(m, k, p.sc[g]);
        p.mn[g] = V::select(m, n, p.mn[g]);
        kept[g] = select(m, c, kept[g]);
      }
      total = total + least;
    }
    p.error = V::sum(total);
  }

  F exact_error(int g, F s, F b) const {
    const F per_s = inverse<V>(s);
    F e = V::zero();
    for (int j = 0; j < kSub; ++j) {
      const F t = tile.x_at(g, j) + b;
      const F r = codes_of(t * per_s) * s - t;
      e = e + tile.w_at(g, j) * r * r;
    }
    return e;
  }

  /// Each sub-block's (sc, mn) and its eight neighbours, by true error.
  void polish(Plan& p) const {
    F total = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      const F sc = p.sc[g], mn = p.mn[g];
      F least = V::splat(kFar);
      for (int i = -1; i <= 1; ++i)
        for (int k = -1; k <= 1; ++k) {
          const F near_sc = clamp_scale(sc + V::splat(static_cast<float>(i)));
          const F near_mn = clamp_scale(mn + V::splat(static_cast<float>(k)));
          const F e = exact_error(g, near_sc * V::splat(p.d), near_mn * V::splat(p.dmin));
          const auto m = V::lt(e, least);
          least = V::select(m, e, least);
          p.sc[g] = V::select(m, near_sc, p.sc[g]);
          p.mn[g] = V::select(m, near_mn, p.mn[g]);
        }
      total = total + least;
    }
    p.error = V::sum(total);
  }

  /// d and dmin by least squares for these scales and codes, stored as f16. False where they stay as they
  /// are.
  bool refit(Plan& p, const Sums* kept) const {
    F ss = V::zero(), sm = V::zero(), mm = V::zero(), sx = V::zero(), mx = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      ss = ss + p.sc[g] * p.sc[g] * kept[g].qq;
      sm = sm + p.sc[g] * p.mn[g] * kept[g].q;
      mm = mm + p.mn[g] * p.mn[g] * weight[g];
      sx = sx + p.sc[g] * kept[g].qx;
      mx = mx + p.mn[g] * mean[g] * weight[g];
    }
    const float a = V::sum(ss), b = V::sum(sm), c = V::sum(mm), u = V::sum(sx), v = V::sum(mx);
    const float det = a * c - b * b;
    if (!(a > 0)) return false;
    const bool both = c > 0 && det > 0x1p-20f * a * c;
    const float d = both ? (u * c - b * v) / det : u / a, dmin = both ? (b * u - a * v) / det : p.dmin;
    if (!(d > 0) || !(dmin >= 0)) return false;
    const uint16_t was_d = p.half_d, was_dmin = p.half_dmin;
    p.d = tile.stored(d, p.half_d);
    p.dmin = tile.stored(dmin, p.half_dmin);
    return p.half_d != was_d || p.half_dmin != was_dmin;
  }

  /// Refines a plan that went through one round; its error is the true one afterwards.
  void finish(Plan& best, const AffineEffort& effort) const {
    Sums kept[kGroups];
    Plan p = best;
    for (int g = 0; g < kGroups; ++g) kept[g] = sums_of(p, g);
    for (int i = 1; i < effort.rounds && refit(p, kept); ++i) improve(p, effort.reach, kept);
    polish(p);
    best = p;
    for (int i = 1; i < effort.polish; ++i) {
      for (int g = 0; g < kGroups; ++g) kept[g] = sums_of(p, g);
      if (!refit(p, kept)) break;
      polish(p);
      if (p.error < best.error) best = p;
    }
  }
};

}  // namespace snug

#pragma once

#include "quant/kernels/encode_kquant.hpp"
#include "quant/kernels/encode_kquant_effort.hpp"

// q2_K, q4_K, q5_K: y = d sc q - dmin mn, with sc and mn whole numbers per sub-block and d, dmin f16 per
// super-block. With d and dmin negative the codes count down from a maximum instead of up from a minimum;
// that way round is searched as a row of opposite sign ("way" 1), since the two round differently and rows
// above zero can only be met so.
//
// In order: real scales and minima for every sub-block; a few (d, dmin) that suit them all; whole sc and mn
// for each by their true error, codes following; d and dmin again by least squares, and round once more.

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
    int way;
    float d, dmin, error;
    uint16_t half_d, half_dmin;
    F sc[kGroups], mn[kGroups];
  };

  Tile tile;
  alignas(32) float minus_x[kSuperBlock];
  F weight[kGroups], spread[kGroups];  // sum w, sum w (x - mean)^2
  F mean[2][kGroups];                  // of x, either way
  Fit fit[2][kGroups];

  Plan search(const AffineEffort& effort) {
    Plan starts[kMaxStarts], best[kMaxStarts];
    Sums kept[kGroups];
    for (int i = 0; i < kSuperBlock; i += 8) V::store(minus_x + i, -V::load(tile.x + i));
    for (int g = 0; g < kGroups; ++g) {
      take_moments(g);
      fit_group(g, effort);
    }
    const int found = choose(effort, starts);
    int count = 0;
    for (int i = 0; i < found; ++i) {
      improve(starts[i], kept);
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
  F codes(const Plan& p, int g, int j, F per_s, F b) const {
    return codes_of((x_at(p.way, g, j) + b) * per_s);
  }

 private:
  static F codes_of(F t) { return nearest<V>(clamp<V>(t, 0, kCodes)); }
  static F clamp_scale(F t) { return clamp<V>(t, 0, kScales); }
  static F whole_scale(F t) { return nearest<V>(clamp_scale(t)); }
  static float per(float a) { return a > 0 ? 1 / a : 0; }

  const float* x_of(int way) const { return way ? minus_x : tile.x; }
  F x_at(int way, int g, int j) const { return V::load(x_of(way) + 8 * (g * kSub + j)); }

  Sums sums(int way, int g, F per_s, F shift) const {
    Sums out{V::zero(), V::zero(), V::zero()};
    for (int j = 0; j < kSub; ++j) {
      const F x = x_at(way, g, j);
      const F q = codes_of(V::fma(x, per_s, shift));
      const F wq = tile.w_at(g, j) * q;
      out = {out.q + wq, V::fma(wq, q, out.qq), V::fma(wq, x, out.qx)};
    }
    return out;
  }
  Sums sums_of(const Plan& p, int g) const {
    const F per_s = inverse<V>(scale(p, g));
    return sums(p.way, g, per_s, offset(p, g) * per_s);
  }
  /// sums() the first way for two candidates at once: half the loads, twice the independent additions.
  void sums(int g, const F (&per_s)[2], const F (&shift)[2], Sums (&out)[2]) const {
    Sums a{V::zero(), V::zero(), V::zero()}, b = a;
    for (int j = 0; j < kSub; ++j) {
      const F x = tile.x_at(g, j), w = tile.w_at(g, j);
      const F p = codes_of(V::fma(x, per_s[0], shift[0])), q = codes_of(V::fma(x, per_s[1], shift[1]));
      const F wp = w * p, wq = w * q;
      a = {a.q + wp, V::fma(wp, p, a.qq), V::fma(wp, x, a.qx)};
      b = {b.q + wq, V::fma(wq, q, b.qq), V::fma(wq, x, b.qx)};
    }
    out[0] = a;
    out[1] = b;
  }
  /// The sums of -x with the codes kCodes - q.
  Sums turned(int g, const Sums& c) const {
    const F top = V::splat(kCodes);
    return {top * weight[g] - c.q, top * (top * weight[g] - c.q - c.q) + c.qq,
            c.qx - top * (mean[0][g] * weight[g])};
  }

  void take_moments(int g) {
    F w = V::zero(), wx = V::zero(), wdd = V::zero();
    for (int j = 0; j < kSub; ++j) {
      w = w + tile.w_at(g, j);
      wx = wx + tile.w_at(g, j) * tile.x_at(g, j);
    }
    mean[0][g] = wx / w;
    mean[1][g] = -mean[0][g];
    for (int j = 0; j < kSub; ++j) {
      const F d = tile.x_at(g, j) - mean[0][g];
      wdd = wdd + tile.w_at(g, j) * d * d;
    }
    weight[g] = w;
    spread[g] = wdd;
  }

  /// The best s and b >= 0 for these codes.
  Fit solve(int way, int g, const Sums& c) const {
    const F tiny = V::splat(kTiny), middle = mean[way][g];
    const F mean_q = c.q / weight[g];
    const F qq = c.qq - c.q * mean_q, qx = c.qx - c.q * middle;
    const F s = qx / V::max(qq, tiny), b = s * mean_q - middle;
    const F s0 = V::max(c.qx, V::zero()) / V::max(c.qq, tiny);
    const auto at_bound = V::lt(b, V::zero()) | V::lt(qq, c.qq * V::splat(0x1p-17f));
    return {V::select(at_bound, s0, s), V::select(at_bound, V::zero(), b),
            V::select(at_bound, s0 * c.qx - middle * middle * weight[g], s * qx), c};
  }
  /// All codes 0.
  Fit flat(int way, int g) const {
    const F b = V::max(-mean[way][g], V::zero()), off = mean[way][g] + b;
    return {V::zero(), b, -(off * off * weight[g]), {V::zero(), V::zero(), V::zero()}};
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
    F low = tile.x_at(g, 0), high = low;
    for (int j = 1; j < kSub; ++j) {
      low = V::min(low, tile.x_at(g, j));
      high = V::max(high, tile.x_at(g, j));
    }
    const F per_range = V::splat(1.0f) / V::max(high - low, V::splat(0x1p-60f));
    Fit best[2] = {flat(0, g), flat(1, g)};
    const auto consider = [&](const Sums& c) {
      best[0] = better(best[0], solve(0, g, c));
      best[1] = better(best[1], solve(1, g, turned(g, c)));
    };
    for (int i = 0; i < effort.low.count; ++i)
      for (int k = 0; k + 1 < effort.high.count; k += 2) {
        const float from = effort.low[i], to = effort.high[k] + kCodes, next = effort.high[k + 1] + kCodes;
        const F per_s[2] = {V::splat(to - from) * per_range, V::splat(next - from) * per_range};
        const F shift[2] = {V::splat(from) - low * per_s[0], V::splat(from) - low * per_s[1]};
        Sums c[2];
        sums(g, per_s, shift, c);
        consider(c[0]);
        consider(c[1]);
      }
    for (int i = 0; i < effort.fit_rounds; ++i) {
      const F per_s = inverse<V>(best[0].s);
      consider(sums(0, g, per_s, best[0].b * per_s));
    }
    fit[0][g] = best[0];
    fit[1][g] = best[1];
  }

  /// Squared error of y = s q - b for the codes summed.
  F error(int way, int g, const Sums& c, F s, F b) const {
    const F shift = b + mean[way][g];
    const F qx = c.qx - c.q * mean[way][g];
    return s * (s * c.qq - V::splat(2.0f) * (shift * c.q + qx)) + shift * shift * weight[g] + spread[g];
  }
  /// The best b for scale s and the codes summed.
  F best_offset(int way, int g, const Sums& c, F s) const {
    return V::max(s * (c.q / weight[g]) - mean[way][g], V::zero());
  }

  /// The most promising d, each with its dmin, best first: as if the fits' codes stayed. Returns how many.
  int choose(const AffineEffort& effort, Plan* best) const {
    int count = 0;
    for (int way = 0; way < 2; ++way) {
      F s = fit[way][0].s;
      for (int g = 1; g < kGroups; ++g) s = V::max(s, fit[way][g].s);
      const float most = V::max_of(s);
      for (int i = 0; i < effort.d.count; ++i) {
        Plan p;
        p.way = way;
        p.d = tile.stored(most / (kScales + effort.d[i]), p.half_d);
        p.error = error_for_d(way, p.d);
        count = keep_best(p, best, count, effort.starts);
      }
    }
    for (int n = 0; n < count; ++n) choose_dmin(best[n], effort);
    return count;
  }
  /// Error of the fits' codes with whole sc and any b.
  float error_for_d(int way, float d) const {
    F total = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      const Sums& c = fit[way][g].sums;
      const F s = whole_scale(fit[way][g].s * V::splat(per(d))) * V::splat(d);
      total = total + error(way, g, c, s, best_offset(way, g, c, s));
    }
    return V::sum(total);
  }
  /// The dmin that brings the offsets nearest to what they should be; sc and mn follow.
  void choose_dmin(Plan& p, const AffineEffort& effort) const {
    F ideal[kGroups], most = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      p.sc[g] = whole_scale(fit[p.way][g].s * V::splat(per(p.d)));
      ideal[g] = best_offset(p.way, g, fit[p.way][g].sums, scale(p, g));
      most = V::max(most, ideal[g]);
    }
    const float top = V::max_of(most);
    float least = kFar;
    for (int i = 0; i < effort.d.count; ++i) {
      uint16_t half;
      const float dmin = tile.stored(top / (kScales + effort.d[i]), half);
      F total = V::zero();
      for (int g = 0; g < kGroups; ++g) {
        const F off = whole_scale(ideal[g] * V::splat(per(dmin))) * V::splat(dmin) - ideal[g];
        total = total + off * off * weight[g];
      }
      const float e = V::sum(total);
      if (!(e < least)) continue;
      least = e;
      p.dmin = dmin;
      p.half_dmin = half;
    }
    for (int g = 0; g < kGroups; ++g) p.mn[g] = whole_scale(ideal[g] * V::splat(per(p.dmin)));
  }

  /// New codes for every sub-block, and the mn that suits them.
  void improve(Plan& p, Sums* kept) const {
    F total = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      const F s = scale(p, g);
      kept[g] = sums_of(p, g);
      p.mn[g] = whole_scale(best_offset(p.way, g, kept[g], s) * V::splat(per(p.dmin)));
      total = total + error(p.way, g, kept[g], s, offset(p, g));
    }
    p.error = V::sum(total);
  }

  /// Squared errors of y = s q - b for three b.
  void exact_errors(int way, int g, F s, const F (&b)[3], F (&out)[3]) const {
    const F per_s = inverse<V>(s);
    F e0 = V::zero(), e1 = e0, e2 = e0;
    for (int j = 0; j < kSub; ++j) {
      const F x = x_at(way, g, j), w = tile.w_at(g, j);
      const F t0 = x + b[0], t1 = x + b[1], t2 = x + b[2];
      const F r0 = V::fma(codes_of(t0 * per_s), s, -t0);
      const F r1 = V::fma(codes_of(t1 * per_s), s, -t1);
      const F r2 = V::fma(codes_of(t2 * per_s), s, -t2);
      e0 = V::fma(w * r0, r0, e0);
      e1 = V::fma(w * r1, r1, e1);
      e2 = V::fma(w * r2, r2, e2);
    }
    out[0] = e0;
    out[1] = e1;
    out[2] = e2;
  }

  /// Each sub-block's (sc, mn) and its eight neighbours, by true error.
  void polish(Plan& p) const {
    F total = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      const F sc = p.sc[g], mn = p.mn[g], one = V::splat(1.0f), dmin = V::splat(p.dmin);
      const F mns[3] = {clamp_scale(mn - one), mn, clamp_scale(mn + one)};
      const F bs[3] = {mns[0] * dmin, mns[1] * dmin, mns[2] * dmin};
      F least = V::splat(kFar);
      for (int i = -1; i <= 1; ++i) {
        const F near_sc = clamp_scale(sc + V::splat(static_cast<float>(i)));
        F e[3];
        exact_errors(p.way, g, near_sc * V::splat(p.d), bs, e);
        for (int k = 0; k < 3; ++k) {
          const auto m = V::lt(e[k], least);
          least = V::select(m, e[k], least);
          p.sc[g] = V::select(m, near_sc, p.sc[g]);
          p.mn[g] = V::select(m, mns[k], p.mn[g]);
        }
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
      mx = mx + p.mn[g] * mean[p.way][g] * weight[g];
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

  /// Refines a plan as far as the effort goes; its error is the true one afterwards.
  void finish(Plan& best, const AffineEffort& effort) const {
    Plan p = best;
    polish(p);
    best = p;
    for (int i = 1; i < effort.rounds; ++i) {
      Sums kept[kGroups];
      for (int g = 0; g < kGroups; ++g) kept[g] = sums_of(p, g);
      if (!refit(p, kept)) break;
      polish(p);
      if (p.error < best.error) best = p;
    }
  }
};

}  // namespace snug

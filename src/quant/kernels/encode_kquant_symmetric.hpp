#pragma once

#include "quant/kernels/encode_kquant.hpp"
#include "quant/kernels/encode_kquant_effort.hpp"

// q3_K, q6_K: y = d S q, with S and q whole and of either sign, and d f16 per super-block.
// In order: a real scale for every sub-block; a few d that suit them all; for each of these whole S by true
// error, codes following; d again by least squares, and round once more.

namespace snug {

/// Codes -kCodes .. kCodes - 1, sub-block scales -kScales .. kScales - 1.
template <Simd V, int kSub, int kCodes, int kScales>
struct SymmetricSearch {
  using F = typename V::f32;
  using Tile = KTile<V, kSub>;
  static constexpr int kGroups = Tile::kGroups, kSubBlock = kSub;

  /// Over the elements of each sub-block, with codes q: sum w q q, sum w q x.
  struct Sums {
    F qq, qx;
  };
  /// y = s q, and the sums of the codes it came from; gain = sum w x x - squared error.
  struct Fit {
    F s, gain, qq;
  };
  struct Plan {
    float d, error;
    uint16_t half_d;
    F scale[kGroups];
  };

  Tile tile;
  Fit fit[kGroups];

  Plan search(const SymmetricEffort& effort) {
    Plan starts[kMaxStarts], best[kMaxStarts];
    for (int g = 0; g < kGroups; ++g) fit_group(g, effort);
    const int found = choose(effort, starts);
    int count = 0;
    for (int i = 0; i < found; ++i) {
      improve(starts[i], effort.reach);
      count = keep_best(starts[i], best, count, effort.keep);
    }
    for (int i = 0; i < count; ++i) finish(best[i], effort);
    int least = 0;
    for (int i = 1; i < count; ++i)
      if (best[i].error < best[least].error) least = i;
    return best[least];
  }

  F scale(const Plan& p, int g) const { return p.scale[g] * V::splat(p.d); }
  F codes(int g, int j, F per_s) const { return codes_of(tile.x_at(g, j) * per_s); }

 private:
  static F codes_of(F t) { return nearest<V>(clamp<V>(t, -kCodes, kCodes - 1)); }
  static F clamp_scale(F t) { return clamp<V>(t, -kScales, kScales - 1); }

  Sums sums(int g, F per_s) const {
    Sums out{V::zero(), V::zero()};
    for (int j = 0; j < kSub; ++j) {
      const F x = tile.x_at(g, j);
      const F q = codes_of(x * per_s);
      const F wq = tile.w_at(g, j) * q;
      out.qq = V::fma(wq, q, out.qq);
      out.qx = V::fma(wq, x, out.qx);
    }
    return out;
  }
  /// sums() for two candidates at once: half the loads, twice the independent additions.
  void sums(int g, F per_a, F per_b, Sums (&out)[2]) const {
    Sums a{V::zero(), V::zero()}, b = a;
    for (int j = 0; j < kSub; ++j) {
      const F x = tile.x_at(g, j), w = tile.w_at(g, j);
      const F p = codes_of(x * per_a), q = codes_of(x * per_b);
      const F wp = w * p, wq = w * q;
      a = {V::fma(wp, p, a.qq), V::fma(wp, x, a.qx)};
      b = {V::fma(wq, q, b.qq), V::fma(wq, x, b.qx)};
    }
    out[0] = a;
    out[1] = b;
  }
  /// Squared errors of y = s q for three s.
  void exact_errors(int g, const F (&s)[3], F (&out)[3]) const {
    const F per_s[3] = {inverse<V>(s[0]), inverse<V>(s[1]), inverse<V>(s[2])};
    F e0 = V::zero(), e1 = e0, e2 = e0;
    for (int j = 0; j < kSub; ++j) {
      const F x = tile.x_at(g, j), minus_x = -x, w = tile.w_at(g, j);
      const F r0 = V::fma(codes_of(x * per_s[0]), s[0], minus_x);
      const F r1 = V::fma(codes_of(x * per_s[1]), s[1], minus_x);
      const F r2 = V::fma(codes_of(x * per_s[2]), s[2], minus_x);
      e0 = V::fma(w * r0, r0, e0);
      e1 = V::fma(w * r1, r1, e1);
      e2 = V::fma(w * r2, r2, e2);
    }
    out[0] = e0;
    out[1] = e1;
    out[2] = e2;
  }

  void consider(int g, const Sums& c) {
    const F s = c.qx / V::max(c.qq, V::splat(kTiny)), gain = s * c.qx;
    const auto m = V::lt(fit[g].gain, gain);
    fit[g] = {V::select(m, s, fit[g].s), V::select(m, gain, fit[g].gain), V::select(m, c.qq, fit[g].qq)};
  }

  /// The real s of each sub-block: its extreme put at and about the last code of either sign, then least
  /// squares.
  void fit_group(int g, const SymmetricEffort& effort) {
    F low = V::zero(), high = V::zero();
    for (int j = 0; j < kSub; ++j) {
      low = V::min(low, tile.x_at(g, j));
      high = V::max(high, tile.x_at(g, j));
    }
    const F per_extreme = inverse<V>(V::select(V::lt(-low, high), high, low));
    fit[g] = {V::zero(), V::zero(), V::zero()};
    for (int i = 0; i + 1 < effort.extreme.count; i += 2) {
      // The other sign matters where a code more on one side is much.
      const float down = -kCodes - effort.extreme[i];
      const float other = kCodes < 8 ? kCodes - 1 + effort.extreme[i + 1] : -kCodes - effort.extreme[i + 1];
      Sums c[2];
      sums(g, per_extreme * V::splat(down), per_extreme * V::splat(other), c);
      consider(g, c[0]);
      consider(g, c[1]);
    }
    for (int i = 0; i < effort.fit_rounds; ++i) consider(g, sums(g, inverse<V>(fit[g].s)));
  }

  void round_scales(Plan& p) const {
    const F per_d = inverse<V>(V::splat(p.d));
    for (int g = 0; g < kGroups; ++g) p.scale[g] = nearest<V>(clamp_scale(fit[g].s * per_d));
  }

  /// The most promising d by the error of the fits' codes with whole S, best first. Returns how many.
  int choose(const SymmetricEffort& effort, Plan* best) const {
    F most = V::zero();
    for (int g = 0; g < kGroups; ++g) most = V::max(most, V::abs(fit[g].s));
    const float top = V::max_of(most);
    int count = 0;
    for (int sign = -1; sign <= 1; sign += 2)
      for (int i = 0; i < effort.d.count; ++i) {
        Plan p;
        const float steps = kScales + effort.d[i];
        p.d = tile.stored(static_cast<float>(sign) * top / steps, p.half_d);
        round_scales(p);
        F total = V::zero();
        for (int g = 0; g < kGroups; ++g) {
          const F off = scale(p, g) - fit[g].s;
          total = total + off * off * fit[g].qq;
        }
        p.error = V::sum(total);
        count = keep_best(p, best, count, effort.starts);
      }
    return count;
  }

  /// Each sub-block's S and its neighbours (SymmetricEffort::reach), by true error.
  void improve(Plan& p, int reach) const {
    F total = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      const F was = p.scale[g];
      F least = V::splat(kFar);
      for (int i = -reach; i <= reach; ++i) {
        const F middle = was + V::splat(static_cast<float>(3 * i));
        const F k[3] = {clamp_scale(middle - V::splat(1.0f)), clamp_scale(middle),
                        clamp_scale(middle + V::splat(1.0f))};
        const F s[3] = {k[0] * V::splat(p.d), k[1] * V::splat(p.d), k[2] * V::splat(p.d)};
        F e[3];
        exact_errors(g, s, e);
        for (int n = 0; n < 3; ++n) {
          const auto m = V::lt(e[n], least);
          least = V::select(m, e[n], least);
          p.scale[g] = V::select(m, k[n], p.scale[g]);
        }
      }
      total = total + least;
    }
    p.error = V::sum(total);
  }

  /// d by least squares for these scales and codes, stored as f16. False where it stays as it is.
  bool refit(Plan& p) const {
    F up = V::zero(), down = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      const Sums c = sums(g, inverse<V>(scale(p, g)));
      up = up + p.scale[g] * c.qx;
      down = down + p.scale[g] * p.scale[g] * c.qq;
    }
    const float bottom = V::sum(down);
    if (!(bottom > 0)) return false;
    const uint16_t was = p.half_d;
    p.d = tile.stored(V::sum(up) / bottom, p.half_d);
    return p.half_d != was;
  }

  void finish(Plan& best, const SymmetricEffort& effort) const {
    Plan p = best;
    for (int i = 0; i < effort.rounds && refit(p); ++i) {
      improve(p, 0);
      if (p.error < best.error) best = p;
    }
  }
};

}  // namespace snug

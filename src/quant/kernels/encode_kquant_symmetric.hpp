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
      round_scales(starts[i]);
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
      out.qq = out.qq + wq * q;
      out.qx = out.qx + wq * x;
    }
    return out;
  }
  F exact_error(int g, F s) const {
    const F per_s = inverse<V>(s);
    F e = V::zero();
    for (int j = 0; j < kSub; ++j) {
      const F x = tile.x_at(g, j);
      const F r = codes_of(x * per_s) * s - x;
      e = e + tile.w_at(g, j) * r * r;
    }
    return e;
  }

  void consider(int g, F per_s) {
    const Sums c = sums(g, per_s);
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
    for (int i = -effort.ranges; i <= effort.ranges; ++i) {
      const float more = effort.range * static_cast<float>(i);
      consider(g, per_extreme * V::splat(more - kCodes));
      if (kCodes < 8) consider(g, per_extreme * V::splat(more + kCodes - 1));
    }
    for (int i = 0; i < effort.fit_rounds; ++i) consider(g, inverse<V>(fit[g].s));
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
      for (int i = -2; i < effort.d_steps; ++i) {
        Plan p;
        const float steps = kScales + effort.d_step * static_cast<float>(i);
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

  /// Each sub-block's S and its neighbours, by true error.
  void improve(Plan& p, int reach) const {
    F total = V::zero();
    for (int g = 0; g < kGroups; ++g) {
      const F was = p.scale[g];
      F least = V::splat(kFar);
      for (int i = -reach; i <= reach; ++i) {
        const F k = clamp_scale(was + V::splat(static_cast<float>(i)));
        const F e = exact_error(g, k * V::splat(p.d));
        const auto m = V::lt(e, least);
        least = V::select(m, e, least);
        p.scale[g] = V::select(m, k, p.scale[g]);
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
    for (int i = 1; i < effort.rounds && refit(p); ++i) {
      improve(p, effort.reach);
      if (p.error < best.error) best = p;
    }
  }
};

}  // namespace snug

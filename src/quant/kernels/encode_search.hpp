#pragma once

#include "quant/blocks.hpp"
#include "quant/kernels/bits.hpp"
#include "quant/kernels/kernels.hpp"
#include "quant/kernels/simd.hpp"
#include "quant/kernels/whole.hpp"

// Joint search of a scale and codes: minimise  sum_j w_j (x_j - d level(x_j / d))^2.
//
// The eight lanes are eight candidate scales, so that a block is read once per eight candidates and nothing
// is summed across lanes. For given codes the best d is xy / yy with xy = sum w x y, yy = sum w y^2 and
// lowers the error by xy^2 / yy; codes and d are improved in turn; at last the true error of the neighbouring
// STORABLE scales decides.

namespace snug {

/// n weights and what their errors are weighed with, brought into a range where nothing overflows.
template <int n>
struct Prepared {
  alignas(32) float x[n];  // within +-2^40: beyond every storable scale
  alignas(32) float w[n];  // largest in [1, 2), unless subnormal; all 1 where every importance is 0
  float widest;            // the x of largest magnitude, with its sign; 0 if that is below 2^-40
};

template <Simd V, int n>
void load_importance(const EncodeJob& job, int64_t at, float* w) noexcept {
  if (job.mean_square == nullptr) {
    for (int j = 0; j < n; j += 8) V::store(w + j, V::splat(1));
    return;
  }
  auto most = V::zero();
  for (int j = 0; j < n; j += 8) most = V::max(most, V::load(job.mean_square + at + j));
  const float largest = V::max_of(most);
  const int exponent = static_cast<int>(bits_of_float(largest) >> 23);  // powers of two: scaling is exact
  const auto scale =
      V::splat(float_of_bits(static_cast<uint32_t>(exponent < 253 ? 253 - exponent : 1) << 23));
  const auto rest = V::splat(exponent < 253 ? 2.0f : exponent == 253 ? 1.0f : 0.5f);
  for (int j = 0; j < n; j += 8) {
    const auto v = V::load(job.mean_square + at + j) * scale * rest;
    V::store(w + j, largest > 0 ? v : V::splat(1));
  }
}

template <Simd V, int n>
void prepare(const EncodeJob& job, int64_t at, Prepared<n>& block) noexcept {
  load_importance<V, n>(job, at, block.w);
  auto highest = V::zero(), lowest = V::zero();
  for (int j = 0; j < n; j += 8) {
    const auto x = V::max(V::min(V::load(job.x + at + j), V::splat(0x1p40f)), V::splat(-0x1p40f));
    V::store(block.x + j, x);
    highest = V::max(highest, x);
    lowest = V::min(lowest, x);
  }
  const float high = V::max_of(highest), low = V::min_of(lowest);
  block.widest = high >= -low ? high : low;
  if (high < 0x1p-40f && low > -0x1p-40f) block.widest = 0;
}

// Levels: level(t) is the nearest to t, code(t) its code, and quick_level(t) the nearest or one hardly
// further away: the best scale for such codes is a candidate as good as another.

/// Equally spaced levels lo..hi.
template <int lo, int hi>
struct Uniform {
  template <Simd V>
  static typename V::f32 level(typename V::f32 t) noexcept {
    return nearest<V>(clamp<V>(t, lo, hi));
  }
  template <Simd V>
  static typename V::f32 quick_level(typename V::f32 t) noexcept {
    return level<V>(t);
  }
  template <Simd V>
  static typename V::i32 code(typename V::f32 t) noexcept {
    return V::to_i(clamp<V>(t, lo, hi)) - V::splat_i(lo);
  }
};

/// kIq4. A cubic guesses the code, off by no more than a tenth of a step beside each midpoint; half a step
/// lower it guesses the code or the one below, and one comparison with the midpoint above decides.
struct Iq4Levels {
  static constexpr float kMidpoints[16] = {-115.5f, -93.5f, -74,   -57,   -42, -28.5f, -16, -4.5f,
                                           7,       19,     31.5f, 45.5f, 61,  79,     101, 1e9f};
  template <Simd V>
  static typename V::f32 cubic(typename V::f32 t, float at_zero) noexcept {
    const auto bend = V::fma(V::splat(-1.3990109e-6f), t, V::splat(-4.606404e-6f));
    return V::fma(V::fma(bend, t, V::splat(0.08121264f)), t, V::splat(at_zero));
  }
  template <Simd V>
  static typename V::f32 within(typename V::f32 x) noexcept {
    return V::max(V::min(x, V::splat(113)), V::splat(-127));
  }
  template <Simd V>
  static typename V::f32 quick_level(typename V::f32 x) noexcept {
    return V::lookup16(kIq4, V::to_i(cubic<V>(within<V>(x), 7.8880078f)));
  }
  template <Simd V>
  static typename V::i32 code(typename V::f32 x) noexcept {
    const auto t = within<V>(x);
    const auto guess = V::to_i(cubic<V>(t, 7.3880078f));
    const auto above = V::lt(V::lookup16(kMidpoints, guess), t);
    return guess + V::select(above, V::splat_i(1), V::splat_i(0));
  }
  template <Simd V>
  static typename V::f32 level(typename V::f32 t) noexcept {
    return V::lookup16(kIq4, code<V>(t));
  }
};

/// kFp4: 0 1 2 3 4 6 8 12 and their negatives.
struct Fp4Levels {
  template <Simd V>
  static typename V::f32 magnitude(typename V::f32 t) noexcept {
    const auto a = V::min(V::abs(t), V::splat(12));
    const auto one_bit = (V::bits_i(a) + V::splat_i(0x200000)) & V::splat_i(~0x3fffff);  // 2 3 4 6 8 12
    return V::select(V::lt(a, V::splat(2)), V::round(a), V::bits_f(one_bit));
  }
  template <Simd V>
  static typename V::f32 level(typename V::f32 t) noexcept {
    const auto sign = V::bits_i(t) & V::bits_i(V::splat(-0.0f));
    return V::bits_f(V::bits_i(magnitude<V>(t)) | sign);
  }
  template <Simd V>
  static typename V::i32 code(typename V::f32 t) noexcept {
    const auto a = magnitude<V>(t);  // 0..4 are their own codes; 6, 8, 12 are 5, 6, 7
    const auto upper = V::select(V::lt(V::splat(7), a), V::splat_i(6), V::splat_i(5)) +
                       V::select(V::lt(V::splat(10), a), V::splat_i(1), V::splat_i(0));
    const auto index = V::select(V::lt(a, V::splat(5)), V::to_i(a), upper);
    const auto negative = V::lt(t, V::zero()) & V::lt(V::zero(), a);
    return index + V::select(negative, V::splat_i(8), V::splat_i(0));
  }
};

/// Eight candidates, one a lane: what they lower the error by, and with which scale.
template <Simd V>
struct Candidates {
  typename V::f32 gain = V::zero(), scale = V::zero();

  void offer(typename V::f32 xy, typename V::f32 yy) noexcept {
    const auto d = xy / V::max(yy, V::splat(0x1p-100f));
    const auto g = d * xy;
    const auto better = V::lt(gain, g);
    gain = V::select(better, g, gain);
    scale = V::select(better, d, scale);
  }
  float best() const noexcept { return pick(gain, scale); }

  /// The lane of value where key is largest (the first such lane).
  static float pick(typename V::f32 key, typename V::f32 value) noexcept {
    const uint32_t lanes = V::bits(V::eq(key, V::splat(V::max_of(key))));
    float values[8];
    V::store(values, value);
    return values[lanes ? __builtin_ctz(lanes) : 0];
  }
};

template <Simd V, class Levels, bool quick>
void offer_inverses(const float* x, const float* w, int n, typename V::f32 inverse,
                    Candidates<V>& to) noexcept {
  auto even_xy = V::zero(), even_yy = V::zero(), odd_xy = V::zero(), odd_yy = V::zero();
  const auto add = [&](int j, typename V::f32& xy, typename V::f32& yy) {
    const auto xj = V::splat(x[j]);
    const auto y =
        quick ? Levels::template quick_level<V>(xj * inverse) : Levels::template level<V>(xj * inverse);
    const auto wy = V::splat(w[j]) * y;
    xy = V::fma(wy, xj, xy);
    yy = V::fma(wy, y, yy);
  };
  for (int j = 0; j < n; j += 2) {  // two sums each: an addition need not wait for the one before
    add(j, even_xy, even_yy);
    add(j + 1, odd_xy, odd_yy);
  }
  to.offer(even_xy + odd_xy, even_yy + odd_yy);
}

/// Errors of eight scales with the nearest codes. A scale of 0 is allowed.
template <Simd V, class Levels>
typename V::f32 scale_errors(const float* x, const float* w, int n, typename V::f32 d) noexcept {
  const auto inverse = V::select(V::eq(d, V::zero()), V::zero(), V::splat(1) / d);
  auto even = V::zero(), odd = V::zero();
  const auto add = [&](int j, typename V::f32& error) {
    const auto xj = V::splat(x[j]);
    const auto e = xj - d * Levels::template level<V>(xj * inverse);
    error = V::fma(V::splat(w[j]) * e, e, error);
  };
  for (int j = 0; j < n; j += 2) {
    add(j, even);
    add(j + 1, odd);
  }
  return even + odd;
}

/// Where a search starts: levels, of either sign, that the widest weight may be taken to, and levels for the
/// weighted root mean square, which help where the widest weight counts for little. Multiples of eight of
/// both.
struct Ladder {
  const float* levels;
  int count;
  const float* typical;
  int typical_count;
  int rounds;  // of improving codes and scale in turn
};

template <Simd V>
float weighted_rms(const float* x, const float* w, int n) noexcept {
  auto square = V::zero(), weight = V::zero();
  for (int j = 0; j < n; j += 8) {
    const auto wx = V::load(w + j) * V::load(x + j);
    square = V::fma(wx, V::load(x + j), square);
    weight = weight + V::load(w + j);
  }
  return __builtin_sqrtf(V::sum(square) / V::sum(weight));
}

/// The best real-valued scale found.
template <Simd V, class Levels>
float search_scale(const float* x, const float* w, int n, float widest, const Ladder& ladder) noexcept {
  if (widest == 0) return 0;
  Candidates<V> found;
  for (int k = 0; k < ladder.count; k += 8)
    offer_inverses<V, Levels, true>(x, w, n, V::load(ladder.levels + k) / V::splat(widest), found);
  const float rms = ladder.typical_count ? weighted_rms<V>(x, w, n) : 0;
  for (int k = 0; rms > 0 && k < ladder.typical_count; k += 8)
    offer_inverses<V, Levels, true>(x, w, n, V::load(ladder.typical + k) / V::splat(rms), found);
  for (int r = 0; r < ladder.rounds; ++r) {
    const auto inverse = V::select(V::eq(found.scale, V::zero()), V::zero(), V::splat(1) / found.scale);
    offer_inverses<V, Levels, false>(x, w, n, inverse, found);
  }
  return found.best();
}

/// Eight f16 values around d, which keep its sign and stay finite.
template <Simd V>
typename V::f32 half_neighbours(float d) noexcept {
  const float magnitude = d < 0 ? -d : d;
  const int middle = V::to_half(magnitude < 65504.0f ? magnitude : 65504.0f);
  const auto bits = V::splat_i(middle - 3) + V::iota_i();
  uint16_t around[8];
  V::store_u16(around, V::max(V::min(bits, V::splat_i(0x7bff)), V::splat_i(0)));
  const auto halves = V::load_half(around);
  return d < 0 ? -halves : halves;
}

struct ScaleChoice {
  float scale;  // storable
  float error;
};

template <Simd V, class Levels>
ScaleChoice round_scale(const float* x, const float* w, int n, float d) noexcept {
  const auto around = half_neighbours<V>(d);
  const auto errors = scale_errors<V, Levels>(x, w, n, around);
  return {Candidates<V>::pick(-errors, around), V::min_of(errors)};
}

/// Searches with the first ladder, and where `hard` is asked for with the second too; the better of both.
template <Simd V, class Levels, int n>
ScaleChoice choose_scale(const Prepared<n>& b, const Ladder& normal, const Ladder& hard,
                         bool use_hard) noexcept {
  const auto attempt = [&](const Ladder& ladder) {
    const float d = search_scale<V, Levels>(b.x, b.w, n, b.widest, ladder);
    return round_scale<V, Levels>(b.x, b.w, n, d);
  };
  ScaleChoice best = attempt(normal);
  if (!use_hard) return best;
  const ScaleChoice other = attempt(hard);
  return other.error < best.error ? other : best;
}

/// Codes of eight weights for a chosen scale.
template <Simd V, class Levels>
typename V::i32 codes_at(const float* x, float scale) noexcept {
  return Levels::template code<V>(V::load(x) * V::splat(scale == 0 ? 0 : 1 / scale));
}

}  // namespace snug

#pragma once

#include "quant/kernels/encode_search.hpp"
#include "quant/kernels/mlx/affine.hpp"

// Scale and bias of a group of MLX's affine formats: minimise  sum_j w_j (x_j - s c_j - b)^2  over storable s and
// b, with c_j the nearest of 0..top. The lanes are eight (s, b); weights are centred first, so that a group far
// from zero keeps its digits. For given codes the best s and b follow from weighted sums; codes and (s, b) are
// improved in turn, from spans of many widths. At last the true error of STORABLE neighbours decides, with the
// scale of either sign: a group stored as -s and b + s top has the same levels before b is rounded.

namespace snug {

/// Where a search starts, and how long it goes on.
struct AffineLadder {
  const float* lows;  // shares of the range below the centre that codes span; a multiple of 8
  int low_count;
  const float* highs;  // and above
  int high_count;
  int rounds, moves;
};

struct AffinePair {
  uint16_t scale, bias;  // as stored
  float error;
};

inline constexpr float kAffineReach[8] = {0.7f, 1.0f, 1.3f, 1.6f, 2.0f, 2.4f, 2.9f, 3.6f};
inline constexpr float kAffineMoveLow[8] = {1, 1, -1, -1, 2, 0, -2, 0};
inline constexpr float kAffineMoveHigh[8] = {1, -1, 1, -1, 0, 2, 0, -2};

template <Simd V, int n, ScaleType type>
class AffinePairSearch {
  using f32 = typename V::f32;
  using Number = Stored<V, type>;

 public:
  AffinePairSearch(const Prepared<n>& group, int top) noexcept
      : group_(group), top_(static_cast<float>(top)) {
    auto w = V::zero(), wx = V::zero();
    for (int j = 0; j < n; j += 8) {
      w = w + V::load(group.w + j);
      wx = V::fma(V::load(group.w + j), V::load(group.x + j), wx);
    }
    weight_ = V::sum(w);
    centre_ = V::sum(wx) / weight_;
    auto low = V::zero(), high = V::zero();
    wx = V::zero();
    for (int j = 0; j < n; j += 8) {
      const auto x = V::load(group.x + j) - V::splat(centre_);
      V::store(x_ + j, x);
      wx = V::fma(V::load(group.w + j), x, wx);
      low = V::min(low, x);
      high = V::max(high, x);
    }
    left_ = V::sum(wx);
    low_ = V::min_of(low);
    high_ = V::max_of(high);
  }

  AffinePair choose(const AffineLadder& ladder) noexcept {
    gain_ = step_ = start_ = V::zero();
    if (high_ - low_ > 0x1p-40f) start(ladder);
    for (int r = 0; r < ladder.rounds; ++r) improve(step_, start_);
    move(ladder.moves);
    return store(Candidates<V>::pick(gain_, step_), Candidates<V>::pick(gain_, start_));
  }

 private:
  static f32 inverse_of(f32 step) noexcept {
    return V::select(V::lt(V::abs(step), V::splat(0x1p-100f)), V::zero(), V::splat(1) / step);
  }
  f32 code(f32 x, f32 inverse, f32 shift) const noexcept {
    const auto t = V::fma(x, inverse, shift);
    return nearest<V>(V::min(V::max(t, V::zero()), V::splat(top_)));
  }

  void start(const AffineLadder& ladder) noexcept {
    for (int k = 0; k < ladder.low_count; k += 8)
      for (int i = 0; i < ladder.high_count; ++i)
        span(V::splat(low_) * V::load(ladder.lows + k), V::splat(high_ * ladder.highs[i]));
    const float rms = weighted_rms<V>(x_, group_.w, n);
    for (int i = 1; i < 8; i += 3) span(V::splat(-rms) * V::load(kAffineReach), V::splat(rms * kAffineReach[i]));
  }

  /// Starts from codes that span from..to, both relative to the centre.
  void span(f32 from, f32 to) noexcept { improve((to - from) / V::splat(top_), from); }

  /// Roundings of many levels are a matter of luck: small changes of the best span find better ones.
  void move(int count) noexcept {
    for (float reach = 0.5f; count > 0; --count, reach *= 0.8f) {
      const float step = Candidates<V>::pick(gain_, step_), low = Candidates<V>::pick(gain_, start_);
      const auto by = V::splat(step * reach);
      span(V::fma(by, V::load(kAffineMoveLow), V::splat(low)),
           V::fma(by, V::load(kAffineMoveHigh), V::splat(low + step * top_)));
    }
  }

  /// Over the weights, with codes c: sum w c, sum w c c, sum w c x.
  struct Sums {
    f32 q = V::zero(), qq = V::zero(), xq = V::zero();
  };

  /// Codes for a step and a start; the best of both for these codes, kept in each lane where that lowers the
  /// error further.
  void improve(f32 step, f32 start) noexcept {
    const auto inverse = inverse_of(step), shift = -(start * inverse);
    Sums even, odd;  // two, so that an addition need not wait for the one before
    const auto add = [&](int j, Sums& to) {
      const auto x = V::splat(x_[j]), c = code(x, inverse, shift), wc = V::splat(group_.w[j]) * c;
      to.q = to.q + wc;
      to.qq = V::fma(wc, c, to.qq);
      to.xq = V::fma(wc, x, to.xq);
    };
    for (int j = 0; j < n; j += 2) {
      add(j, even);
      add(j + 1, odd);
    }
    const auto q = even.q + odd.q, qq = even.qq + odd.qq, xq = even.xq + odd.xq;
    const auto per_weight = V::splat(1 / weight_), left = V::splat(left_);
    const auto mean_code = q * per_weight;
    const auto spread = qq - q * mean_code;  // of the codes; 0 where they are all one
    const auto product = xq - left * mean_code;
    const auto slope = product / V::max(spread, V::splat(1e-12f));
    const auto gain = V::select(V::lt(V::splat(1e-6f), spread), slope * product, V::zero());
    const auto better = V::lt(gain_, gain);
    gain_ = V::select(better, gain, gain_);
    step_ = V::select(better, slope, step_);
    start_ = V::select(better, (left - slope * q) * per_weight, start_);
  }

  /// The best storable pair near a step and a start, of either sign.
  AffinePair store(float step, float start) noexcept {
    const auto inverse = inverse_of(V::splat(step)), shift = -(V::splat(start) * inverse);
    auto q = V::zero();
    for (int j = 0; j < n; j += 8)
      q = V::fma(V::load(group_.w + j), code(V::load(x_ + j), inverse, shift), q);
    const float mean_code = V::sum(q) / weight_;
    AffinePair best = store_near(step, mean_code);
    const AffinePair turned = store_near(-step, top_ - mean_code);
    return turned.error < best.error ? turned : best;
  }

  /// Four scales around `step`, and for each four biases around the best for codes of that mean.
  AffinePair store_near(float step, float mean_code) noexcept {
    const uint16_t middle = Number::nearest_finite(step);
    AffinePair best{0, 0, __builtin_inff()};
    for (int half = 0; half < 2; ++half) {
      float steps[8], biases[8];
      uint16_t step_bits[8], bias_bits[8];
      for (int k = 0; k < 8; ++k) {
        step_bits[k] = Number::further(middle, 2 * half + k / 4 - 1);
        steps[k] = Number::value(step_bits[k]);
        const float wanted = centre_ + left_ / weight_ - steps[k] * mean_code;
        bias_bits[k] = Number::further(Number::nearest_finite(wanted), k % 4 - 1);
        biases[k] = Number::value(bias_bits[k]);
      }
      const auto error = errors(V::load(steps), V::load(biases));
      const float least = V::min_of(error);
      if (!(least < best.error)) continue;
      const int lane = __builtin_ctz(V::bits(V::eq(error, V::splat(least))));
      best = {step_bits[lane], bias_bits[lane], least};
    }
    return best;
  }

  f32 errors(f32 step, f32 bias) noexcept {
    const auto inverse = inverse_of(step);
    auto even = V::zero(), odd = V::zero();
    const auto add = [&](int j, f32& error) {
      const auto rest = V::splat(group_.x[j]) - bias, e = rest - step * code(rest, inverse, V::zero());
      error = V::fma(V::splat(group_.w[j]) * e, e, error);
    };
    for (int j = 0; j < n; j += 2) {
      add(j, even);
      add(j + 1, odd);
    }
    return even + odd;
  }

  const Prepared<n>& group_;
  const float top_;
  alignas(32) float x_[n];           // centred
  float weight_, centre_, left_;     // sum of w; the centre; sum of w x_, which rounding leaves
  float low_, high_;
  f32 gain_, step_, start_;
};

inline constexpr float kShares2[] = {1.0f, 0.9f, 0.8f, 0.7f, 0.6f, 0.5f, 0.4f, 0.3f};
inline constexpr float kShares3[] = {1.05f, 0.97f, 0.89f, 0.81f, 0.73f, 0.65f, 0.56f, 0.45f};
inline constexpr float kSharesMany[] = {1.03f, 1.0f, 0.97f, 0.94f, 0.9f, 0.84f, 0.76f, 0.6f};
inline constexpr float kHighs2[] = {0.9f, 0.7f, 0.5f, 0.35f};
inline constexpr float kHighs3[] = {1.0f, 0.85f, 0.7f};
inline constexpr float kHighsMany[] = {1.0f, 0.9f};
inline constexpr float kShares16[] = {1.06f, 1.02f, 0.99f, 0.96f, 0.93f, 0.9f,  0.86f, 0.82f,
                                      0.77f, 0.71f, 0.64f, 0.56f, 0.46f, 0.36f, 0.24f, 0.12f};

template <int bits>
constexpr AffineLadder affine_ladder() {
  if (bits == 2) return {kShares2, 8, kHighs2, 4, 3, 4};
  if (bits == 3) return {kShares3, 8, kHighs3, 3, 3, 4};
  return {kSharesMany, 8, kHighsMany, 2, 2, 4};
}

template <Simd V, class Block>
void encode_affine(const EncodeJob& job) noexcept {
  constexpr int n = static_cast<int>(Block::kWeights), bits = Block::kBits, top = (1 << bits) - 1;
  constexpr AffineLadder hard{kShares16, 16, kShares16, 16, 4, 6};
  using Number = Stored<V, Block::kType>;
  encode_blocks<V, Block, n>(job, [&](Block& out, const Prepared<n>& group) {
    AffinePairSearch<V, n, Block::kType> search{group, top};
    AffinePair best = search.choose(affine_ladder<bits>());
    if (job.hard) {
      const AffinePair other = search.choose(hard);
      if (other.error < best.error) best = other;
    }
    out.scale = best.scale;
    out.bias = best.bias;
    const float step = Number::value(best.scale);
    const auto inverse = V::splat(-0x1p-100f < step && step < 0x1p-100f ? 0 : 1 / step);
    const auto bias = V::splat(Number::value(best.bias));
    for (int j = 0; j < n; j += 8) {
      const auto code = clamp<V>((V::load(group.x + j) - bias) * inverse, 0, top);
      store_codes<V, bits>(out.codes + j * bits / 8, V::to_i(code));
    }
  });
}

}  // namespace snug

#pragma once

#include "quant/kernels/encode_legacy.hpp"

// q4_1 and q5_1: x = d q + m, q in 0..top. The lanes are eight (d, m) pairs; weights are centred first, so
// that a block far from zero keeps its digits.

namespace snug {

struct OffsetChoice {
  float d, m;  // storable
  float error;
};

/// Shares of the range below and above the centre that the codes span, to start from; the rest is clipped.
struct OffsetLadder {
  const float* lows;
  int low_count;  // a multiple of 8: one a lane
  const float* highs;
  int high_count, rounds, moves;
};

/// From the best pair so far, where both ends of its span move to next, in code steps (halved at first); a
/// lane each.
inline constexpr float kMoveLow[8] = {1, 1, -1, -1, 2, 0, -2, 0};
inline constexpr float kMoveHigh[8] = {1, -1, 1, -1, 0, 2, 0, -2};

/// How many weighted root mean squares the codes may reach below and above the centre: starts that help where
/// the widest weights count for little.
inline constexpr float kTypicalReach[8] = {1.3f, 1.6f, 1.9f, 2.2f, 2.5f, 2.9f, 3.4f, 4.2f};

template <Simd V, int top>
class OffsetSearch {
  using f32 = typename V::f32;

 public:
  explicit OffsetSearch(const Prepared<32>& b) noexcept : b_(b) {
    auto w = V::zero(), wx = V::zero();
    for (int j = 0; j < 32; j += 8) {
      w = w + V::load(b.w + j);
      wx = V::fma(V::load(b.w + j), V::load(b.x + j), wx);
    }
    weight_ = V::sum(w);
    per_weight_ = 1 / weight_;
    centre_ = V::sum(wx) / weight_;
    auto low = V::zero(), high = V::zero();
    wx = V::zero();
    for (int j = 0; j < 32; j += 8) {
      const auto x = V::load(b.x + j) - V::splat(centre_);
      V::store(x_ + j, x);
      wx = V::fma(V::load(b.w + j), x, wx);
      low = V::min(low, x);
      high = V::max(high, x);
    }
    left_ = V::sum(wx);
    low_ = V::min_of(low);
    high_ = V::max_of(high);
  }

  OffsetChoice choose(const OffsetLadder& ladder) noexcept {
    gain_ = d_ = m_ = V::zero();
    if (high_ - low_ > 0x1p-40f) {
      for (int k = 0; k < ladder.low_count; k += 8)
        for (int i = 0; i < ladder.high_count; ++i)
          span(V::splat(low_) * V::load(ladder.lows + k), V::splat(high_ * ladder.highs[i]));
      const float rms = weighted_rms<V>(x_, b_.w, 32);
      for (int i = 1; i < 8; i += 4)
        span(V::splat(-rms) * V::load(kTypicalReach), V::splat(rms * kTypicalReach[i]));
    }
    for (int r = 0; r < ladder.rounds; ++r) improve(d_, m_);
    move(ladder.moves);
    return storable(Candidates<V>::pick(gain_, d_), Candidates<V>::pick(gain_, m_));
  }

 private:
  static f32 code(f32 x, f32 inverse, f32 shift) noexcept {
    return nearest<V>(clamp<V>(V::fma(x, inverse, shift), 0, top));
  }

  /// Starts from codes that span from..to, both relative to the centre.
  void span(f32 from, f32 to) noexcept { improve((to - from) / V::splat(top), from); }

  /// Roundings of 16 or 32 levels are a matter of luck: small changes of the best span find better ones.
  void move(int count) noexcept {
    for (float reach = 0.5f; count > 0; --count, reach *= 0.8f) {
      const float d = Candidates<V>::pick(gain_, d_), low = Candidates<V>::pick(gain_, m_);
      const auto step = V::splat(d * reach);
      span(V::fma(step, V::load(kMoveLow), V::splat(low)),
           V::fma(step, V::load(kMoveHigh), V::splat(low + d * top)));
    }
  }

  /// Over the weights, with codes c: sum w c, sum w c c, sum w c x.
  struct Sums {
    f32 q = V::zero(), qq = V::zero(), xq = V::zero();
  };

  /// Codes for d, m; the best d, m for these codes; kept in each lane where it lowers the error further.
  void improve(f32 d, f32 m) noexcept {
    const auto inverse = V::select(V::eq(d, V::zero()), V::zero(), V::splat(1) / d);
    const auto shift = -(m * inverse);
    Sums even, odd;  // two, so that an addition need not wait for the one before
    const auto add = [&](int j, Sums& to) {
      const auto x = V::splat(x_[j]), c = code(x, inverse, shift);
      const auto wc = V::splat(b_.w[j]) * c;
      to.q = to.q + wc;
      to.qq = V::fma(wc, c, to.qq);
      to.xq = V::fma(wc, x, to.xq);
    };
    for (int j = 0; j < 32; j += 2) {
      add(j, even);
      add(j + 1, odd);
    }
    const auto q = even.q + odd.q, qq = even.qq + odd.qq, xq = even.xq + odd.xq;
    const auto per_weight = V::splat(per_weight_), left = V::splat(left_);
    const auto mean_q = q * per_weight;
    const auto spread = qq - q * mean_q;  // of the codes; 0 where they are all one
    const auto product = xq - left * mean_q;
    const auto slope = product / V::max(spread, V::splat(1e-12f));
    const auto gain = V::select(V::lt(V::splat(1e-6f), spread), slope * product, V::zero());
    const auto better = V::lt(gain_, gain);
    gain_ = V::select(better, gain, gain_);
    d_ = V::select(better, slope, d_);
    m_ = V::select(better, (left - slope * q) * per_weight, m_);
  }

  /// The best pair of f16 values near d and m + centre: four d, and for each the two m around the best for
  /// it.
  OffsetChoice storable(float d, float m) noexcept {
    const auto inverse = V::splat(d == 0 ? 0 : 1 / d);
    const auto shift = -(V::splat(m) * inverse);
    auto q = V::zero();
    for (int j = 0; j < 32; j += 8) q = V::fma(V::load(b_.w + j), code(V::load(x_ + j), inverse, shift), q);
    const float mean_code = V::sum(q) / weight_;
    float around[8], ds[8], ms[8];
    V::store(around, half_neighbours<V>(d));
    for (int k = 0; k < 8; ++k) {
      ds[k] = around[2 + k / 2];
      ms[k] = half_below(centre_ + left_ / weight_ - ds[k] * mean_code, k % 2);
    }
    const auto error = errors(V::load(ds), V::load(ms));
    return {Candidates<V>::pick(-error, V::load(ds)), Candidates<V>::pick(-error, V::load(ms)),
            V::min_of(error)};
  }

  /// The nearest f16 (finite), or the neighbour on the other side of x.
  static float half_below(float x, int other) noexcept {
    const float bounded = x < -65504.0f ? -65504.0f : x > 65504.0f ? 65504.0f : x;
    const uint16_t bits = V::to_half(bounded);
    const float nearest = V::half(bits);
    if (!other || nearest == bounded || (bits & 0x7fff) == 0) return nearest;
    const bool grow = (nearest < bounded) == (bounded > 0);
    const int next = bits + (grow ? 1 : -1);
    return (next & 0x7fff) > 0x7bff ? nearest : V::half(static_cast<uint16_t>(next));
  }

  f32 errors(f32 d, f32 m) noexcept {
    const auto inverse = V::select(V::eq(d, V::zero()), V::zero(), V::splat(1) / d);
    auto error = V::zero();
    for (int j = 0; j < 32; ++j) {
      const auto rest = V::splat(b_.x[j]) - m;
      const auto e = rest - d * code(rest, inverse, V::zero());
      error = V::fma(V::splat(b_.w[j]) * e, e, error);
    }
    return error;
  }

  const Prepared<32>& b_;
  alignas(32) float x_[32];                    // centred
  float weight_, per_weight_, centre_, left_;  // sum of w; the centre; sum of w x_, which rounding leaves
  float low_, high_;
  f32 gain_, d_, m_;
};

template <Simd V, int top, class Block, class Put>
void encode_offset(const EncodeJob& job, const OffsetLadder& normal, const OffsetLadder& hard,
                   Put put) noexcept {
  encode_blocks<V, Block, 32>(job, [&](Block& out, const Prepared<32>& b) {
    OffsetSearch<V, top> search{b};
    OffsetChoice best = search.choose(normal);
    if (job.hard) {
      const OffsetChoice other = search.choose(hard);
      if (other.error < best.error) best = other;
    }
    out.d = V::to_half(best.d);
    out.m = V::to_half(best.m);
    const auto inverse = V::splat(best.d == 0 ? 0 : 1 / best.d), m = V::splat(best.m);
    put(out, [&](int j) { return Uniform<0, top>::template code<V>((V::load(b.x + j) - m) * inverse); });
  });
}

inline constexpr float kShares4[] = {1.05f, 1.0f, 0.95f, 0.9f, 0.84f, 0.77f, 0.66f, 0.5f};
inline constexpr float kShares5[] = {1.03f, 1.0f, 0.97f, 0.94f, 0.9f, 0.84f, 0.74f, 0.55f};
inline constexpr float kHighs[] = {1.0f, 0.88f};
inline constexpr float kFineShares[] = {1.06f, 1.02f, 0.99f, 0.96f, 0.93f, 0.9f,  0.86f, 0.82f,
                                        0.77f, 0.71f, 0.64f, 0.56f, 0.46f, 0.36f, 0.24f, 0.12f};

template <Simd V>
void encode_q4_1(const EncodeJob& job) noexcept {
  encode_offset<V, 15, BlockQ4_1>(job, {kShares4, 8, kHighs, 2, 2, 4},
                                  {kFineShares, 16, kFineShares, 16, 4, 4},
                                  [](BlockQ4_1& out, auto code) { put_nibbles<V, 16>(out.qs, code); });
}

template <Simd V>
void encode_q5_1(const EncodeJob& job) noexcept {
  encode_offset<V, 31, BlockQ5_1>(job, {kShares5, 8, kHighs, 2, 2, 4},
                                  {kFineShares, 16, kFineShares, 16, 4, 4},
                                  [](BlockQ5_1& out, auto code) { put_five_bits<V>(out.qh, out.qs, code); });
}

template <Simd V>
void decode_q4_1(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ4_1, 32>(blocks, cols, row, [](const BlockQ4_1& b, float* y) {
    const auto d = V::splat(V::half(b.d)), m = V::splat(V::half(b.m));
    each_nibble<V, 16>(b.qs, y, [&](float* to, auto n) { V::store(to, d * V::to_f(n) + m); });
  });
}

template <Simd V>
void decode_q5_1(const void* blocks, int64_t cols, float* row) noexcept {
  decode_blocks<BlockQ5_1, 32>(blocks, cols, row, [](const BlockQ5_1& b, float* y) {
    const auto d = V::splat(V::half(b.d)), m = V::splat(V::half(b.m));
    each_five_bits<V>(b.qh, b.qs, y, [&](float* to, auto n) { V::store(to, d * V::to_f(n) + m); });
  });
}

template <Simd V>
constexpr CodecRow kOffsetCodecs[] = {
    {FormatId::q4_1, {encode_q4_1<V>, decode_q4_1<V>}},
    {FormatId::q5_1, {encode_q5_1<V>, decode_q5_1<V>}},
};

}  // namespace snug

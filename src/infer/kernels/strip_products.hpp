#pragma once

#include <array>
#include <utility>

#include "infer/kernels/parts_times.hpp"
#include "infer/kernels/strips.hpp"

// Products of strips with rows of activations: what PackedFormat says, in the order of sums of
// product_amx.hpp, so that tiles give the same bits.

namespace snug::infer {
namespace {

/// What a block's activations add up to: of 32 columns each, and what the sums of raised codes begin with.
template <class S>
struct StripSums {
  alignas(32) int32_t start[S::kGroups];
  alignas(32) int16_t of32[8];

  StripSums(const RoundedRow& x, int64_t block) {
    if constexpr (S::kRounding == Rounding::blocks32) {
      start[0] = -S::kRaise * x.sums[block];
    } else {
      const int16_t* sums = x.sums + 16 * block;
      for (int k = 0; k < 8; ++k) {
        of32[k] = static_cast<int16_t>(sums[k] + sums[8 + k]);
        start[k] = -S::kRaise * of32[k];
      }
      in_memory(of32);
    }
    in_memory(start);
  }
};

/// Two streams of memory are read faster than one.
constexpr int kStripsAtOnce = 2;

/// A strip times T rows of activations: integer sums, codes times scales.
template <class V, class S, int T>
inline void strip_sums(const typename S::Strip& strip, const int8_t* const (&q)[T], const StripSums<S>* sums,
                       typename V::i (&whole)[2][T]) {
  for (auto& half : whole)
    for (auto& w : half) w = V::zero_i();
  each_below<S::kGroups>([&]<int g>() {
    asm volatile("" ::: "memory");  // what is asked for ahead stays where it is written
    typename V::i part[2][T];
    for (int t = 0; t < T; ++t)
      part[0][t] = part[1][t] = S::kRaise ? V::as_i(V::splat_four(sums[t].start + g)) : V::zero_i();
    each_of_8([&]<int n>() {
      constexpr int step = 8 * g + n, steps = 8 * S::kGroups, lines = (sizeof strip + 63) / 64;
      if constexpr (step * lines / steps != (step + 1) * lines / steps)
        prefetch<kStripAhead + step * lines / steps * 64>(&strip, 1);
      const typename V::b codes[2] = {S::template codes<g, n>(strip, 0), S::template codes<g, n>(strip, 1)};
      for (int t = 0; t < T; ++t) {
        const auto x = V::splat_four(q[t] + 32 * g + 4 * n);
        for (int h = 0; h < 2; ++h) part[h][t] = V::add_fours(part[h][t], codes[h], x);
      }
    });
    for (int h = 0; h < 2; ++h)
      if constexpr (S::kGroups == 1) {
        for (int t = 0; t < T; ++t) whole[h][t] = part[h][t];
      } else {
        const auto scales = V::eight_bytes(strip.scales[g] + kHalfStrip * h);
        for (int t = 0; t < T; ++t) whole[h][t] = V::add_i(whole[h][t], V::times_each(part[h][t], scales));
      }
  });
}

template <class V, class S>
inline typename V::i minima_sum(const typename S::Strip& strip, int64_t half, const StripSums<S>& sums) {
  auto sum = V::zero_i();
  for (int p = 0; p < 4; ++p)
    sum = V::add_pairs(sum, V::widen(strip.mins[p][kHalfStrip * half]), V::splat_pair(sums.of32 + 2 * p));
  return sum;
}

/// What strips times T rows of activations add up to.
template <class V, class S, int T>
class StripTimes {
 public:
  StripTimes() {
    for (int h = 0; h < 2; ++h)
      for (int t = 0; t < T; ++t) sum_[h][t] = V::zero();
  }

  /// Block b of T rows of activations.
  inline void add(const typename S::Strip& strip, const RoundedRow* x, int64_t b, const StripSums<S>* sums) {
    const int8_t* q[T];
    for (int t = 0; t < T; ++t) q[t] = x[t].q + block_of(S::kRounding) * b;
    typename V::i whole[2][T];
    strip_sums<V, S, T>(strip, q, sums, whole);
    for (int h = 0; h < 2; ++h) {
      const auto d = S::d(strip, h);
      for (int t = 0; t < T; ++t) {
        const auto by = V::splat(x[t].d[b]);
        sum_[h][t] = V::fma(V::real(whole[h][t]), d * by, sum_[h][t]);
        if constexpr (S::kMins)
          sum_[h][t] =
              V::fma(-V::real(minima_sum<V, S>(strip, h, sums[t])), S::dmin(strip, h) * by, sum_[h][t]);
      }
    }
  }

  /// y[t * y_stride + row]
  void store(float* y, int64_t y_stride) const {
    for (int h = 0; h < 2; ++h)
      for (int t = 0; t < T; ++t) V::store(y + t * y_stride + kHalfStrip * h, sum_[h][t]);
  }

 private:
  typename V::f32 sum_[2][T];
};

/// What strips of a set are multiplied by.
template <class V, class S, int T>
struct TimesOf {
  using Sums = StripSums<S>;
  using Times = StripTimes<V, S, T>;
};
template <class V, MadeOfParts S, int T>
struct TimesOf<V, S, T> {
  using Sums = PartStarts<S>;
  using Times = PartsTimes<V, S, T>;
};

template <class Sums, int T>
std::array<Sums, T> sums_of(const RoundedRow* x, int64_t block) {
  return [&]<int... t>(std::integer_sequence<int, t...>) {
    return std::array<Sums, T>{Sums{x[t], block}...};
  }
  (std::make_integer_sequence<int, T>{});
}

/// R strips, `stride` strips apart, times one row of activations: y[r * y_stride + row]
template <class V, class S, int R>
void times_row(const typename S::Strip* strips, int64_t stride, int64_t count, const RoundedRow& x, float* y,
               int64_t y_stride) {
  using Of = TimesOf<V, S, 1>;
  typename Of::Times times[R];
  for (int64_t b = 0; b < count; ++b) {
    const auto sums = sums_of<typename Of::Sums, 1>(&x, b);
    const RoundedRow* row = &x;
    for (int r = 0; r < R; ++r) {
      // Or all activations of a block are loaded first, more than there are registers for.
      asm("" : "+r"(row));
      times[r].add(strips[r * stride + b], row, b, sums.data());
    }
  }
  for (int r = 0; r < R; ++r) times[r].store(y + r * y_stride, 0);
}

/// One strip times T rows of activations: y[t * y_stride + row].
template <class V, class S, int T>
void times_strip(const typename S::Strip* strips, int64_t count, const RoundedRow* x, float* y,
                 int64_t y_stride) {
  using Of = TimesOf<V, S, T>;
  typename Of::Times times;
  for (int64_t b = 0; b < count; ++b) times.add(strips[b], x, b, sums_of<typename Of::Sums, T>(x, b).data());
  times.store(y, y_stride);
}

/// Of a strip.
template <class S>
constexpr int64_t strip_columns() {
  if constexpr (MadeOfParts<S>) return S::kParts * S::kColumns;
  return block_of(S::kRounding);
}

template <class V, class S>
const typename S::Strip* strips_at(const PackedRows& rows, int64_t row) {
  return reinterpret_cast<const typename S::Strip*>(rows.data + row * rows.row_bytes);
}

/// PackedFormat::dots of strips.
template <class V, class S>
void dots_of_strips(const PackedRows& rows, const RoundedRow& x, float* y) {
  const int64_t blocks = rows.cols / strip_columns<S>();
  const int64_t share = rows.count / kStripRows / kStripsAtOnce;
  for (int64_t r = 0; r < share * kStripRows; r += kStripRows)
    times_row<V, S, kStripsAtOnce>(strips_at<V, S>(rows, r), share * blocks, blocks, x, y + r,
                                   share * kStripRows);
  for (int64_t r = kStripsAtOnce * share * kStripRows; r < rows.count; r += kStripRows)
    times_row<V, S, 1>(strips_at<V, S>(rows, r), 0, blocks, x, y + r, 0);
}

/// PackedFormat::product of strips.
template <class V, class S>
void product_of_strips(const PackedRows& rows, const TokenTiles& x, float*, float* y, int64_t y_stride) {
  constexpr int64_t together = 4;
  const int64_t blocks = rows.cols / strip_columns<S>();
  for (int64_t r = 0; r < rows.count; r += kStripRows) {
    const auto* strips = strips_at<V, S>(rows, r);
    int64_t t = 0;
    for (; t + together <= x.tokens; t += together)
      times_strip<V, S, together>(strips, blocks, x.rows + t, y + t * y_stride + r, y_stride);
    for (; t < x.tokens; ++t) times_strip<V, S, 1>(strips, blocks, x.rows + t, y + t * y_stride + r, 0);
  }
}

}  // namespace
}  // namespace snug::infer

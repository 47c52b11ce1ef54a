#pragma once

#include "infer/kernels/strips_mlx.hpp"

// What strip_products.hpp does with strips that are made of parts (strips_mlx.hpp).

namespace snug::infer {
namespace {

template <class S>
concept MadeOfParts = requires { S::kParts; };

/// What the sums of raised codes begin with, part by part.
template <class S>
struct PartStarts {
  alignas(16) int32_t start[S::kParts] = {};

  PartStarts(const RoundedRow& x, int64_t strip) {
    if constexpr (S::kRaise != 0) {
      constexpr int64_t sixteens = S::kColumns / 16;
      for (int64_t p = 0; p < S::kParts; ++p) {
        const int16_t* sums = x.sums + sixteens * (strip * S::kParts + p);
        start[p] = -S::kRaise * (sums[0] + (sixteens == 2 ? sums[1] : 0));
      }
      in_memory(start);
    }
  }
};

/// As StripTimes.
template <class V, class S, int T>
class PartsTimes {
 public:
  PartsTimes() {
    for (int h = 0; h < 2; ++h)
      for (int t = 0; t < T; ++t) sum_[h][t] = V::zero();
  }

  inline void add(const typename S::Strip& strip, const RoundedRow* x, int64_t b, const PartStarts<S>* starts) {
    for (int64_t p = 0; p < S::kParts; ++p) {
      typename V::i whole[2][T];
      sum_part(strip.parts[p], x, (b * S::kParts + p) * S::kColumns, starts, p, whole);
      const int64_t block = (b * S::kParts + p) * S::kColumns / 32;
      for (int h = 0; h < 2; ++h) {
        const auto d = S::d(strip, p, h);
        for (int t = 0; t < T; ++t)
          sum_[h][t] = V::fma(V::real(whole[h][t]), d * V::splat(x[t].d[block]), sum_[h][t]);
        if constexpr (S::kOffset) {
          const auto m = S::m(strip, p, h);
          for (int t = 0; t < T; ++t) sum_[h][t] = V::fma(m, V::splat(x[t].s[block]), sum_[h][t]);
        }
      }
    }
  }

  void store(float* y, int64_t y_stride) const {
    for (int h = 0; h < 2; ++h)
      for (int t = 0; t < T; ++t) V::store(y + t * y_stride + kHalfStrip * h, sum_[h][t]);
  }

 private:
  /// Integer sums of a part whose first column is `column`.
  static inline void sum_part(const typename S::Part& part, const RoundedRow* x, int64_t column,
                              const PartStarts<S>* starts, int64_t p, typename V::i (&whole)[2][T]) {
    asm volatile("" ::: "memory");  // what is asked for ahead stays where it is written
    for (int t = 0; t < T; ++t)
      whole[0][t] = whole[1][t] = S::kRaise ? V::as_i(V::splat_four(starts[t].start + p)) : V::zero_i();
    each_below<S::kColumns / 4>([&]<int n>() {
      constexpr int steps = S::kColumns / 4, lines = (sizeof(typename S::Strip) / S::kParts + 63) / 64;
      if constexpr (n * lines / steps != (n + 1) * lines / steps)
        prefetch<kStripAhead + n * lines / steps * 64>(&part, 1);
      const typename V::b codes[2] = {S::template codes<n>(part, 0), S::template codes<n>(part, 1)};
      for (int t = 0; t < T; ++t) {
        const auto four = V::splat_four(x[t].q + column + 4 * n);
        for (int h = 0; h < 2; ++h) whole[h][t] = V::add_fours(whole[h][t], codes[h], four);
      }
    });
  }

  typename V::f32 sum_[2][T];
};

}  // namespace
}  // namespace snug::infer

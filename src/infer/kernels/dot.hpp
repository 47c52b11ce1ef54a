#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "infer/kernels/codes.hpp"
#include "infer/kernels/kernels.hpp"

// Rows of packed weights times one row of activations. Lane j of a sum belongs to the codes 4j.. of each 32,
// so that every instruction set adds the same numbers in the same order.

namespace snug::infer {
namespace {

/// Calls f.template operator()<k>() for k = 0 to 7.
template <class F>
inline void each_of_8(F&& f) {
  f.template operator()<0>();
  f.template operator()<1>();
  f.template operator()<2>();
  f.template operator()<3>();
  f.template operator()<4>();
  f.template operator()<5>();
  f.template operator()<6>();
  f.template operator()<7>();
}

/// Calls f.template operator()<k>() for k below count.
template <int count, class F>
inline void each_below(F&& f) {
  [&]<int... k>(std::integer_sequence<int, k...>) {
    (f.template operator()<k>(), ...);
  }
  (std::make_integer_sequence<int, count>{});
}

/// The integer sum of a super-block, 64 weights at a time.
template <class V, class Codes>
inline typename V::i twice_sum(const Codes& c, const int8_t* q) {
  using T = typename V::Twice;
  const auto scales = T::both(c.scales());
  auto even = T::zero_i(), odd = T::zero_i();
  const auto add = [&]<int n>(auto& sum) {
    const auto x = T::negate_where(T::load_b(q + 64 * n), load_u64(c.block.signs + 8 * n));
    sum = T::add_pairs(sum, T::multiply(c.template codes64<n>(), x), T::template pair_of<n>(scales));
  };
  add.template operator()<0>(even);
  add.template operator()<1>(odd);
  add.template operator()<2>(even);
  add.template operator()<3>(odd);
  return T::fold(T::add_i(even, odd));
}

template <class V, class Codes>
concept TakesTwice = requires {
  typename V::Twice;
  Codes::kTwice;
};

/// Scales as V::scales8() makes them, one for each 32 weights: spread over a vector by loads, which are free
/// while shuffles all wait for one port.
template <class V>
class WholeScales {
 public:
  explicit WholeScales(typename V::w scales) {
    V::store_w(twice_, V::each_twice(scales));
    in_memory(twice_);
  }
  template <int k>
  typename V::w of() const {
    return V::splat_pair(twice_ + 2 * k);
  }

 private:
  alignas(32) int16_t twice_[16];
};

/// Scales as V::scales16() makes them, two for each 32 weights.
template <class V>
struct HalfScales {
  typename V::w scales;
  template <int k>
  typename V::w of() const {
    return V::template pair_of<k>(scales);
  }
};

template <class V, class Codes>
using ScalesOf = std::conditional_t<Codes::kWhole, WholeScales<V>, HalfScales<V>>;

/// The integer sum of a super-block: sum of scale (code - bias) q.
template <class V, class Codes>
inline typename V::i super_sum(const Codes& c, const int8_t* q, const int16_t* sums) {
  if constexpr (TakesTwice<V, Codes>) return twice_sum<V>(c, q);
  const typename V::w scales = c.scales();
  const ScalesOf<V, Codes> each{scales};
  typename V::i even = V::zero_i(), odd = V::zero_i();
  each_of_8([&]<int k>() {
    auto x = V::load_b(q + 32 * k);
    if constexpr (Codes::kSigned) x = c.template with_signs<k>(x);
    auto& sum = k % 2 ? odd : even;
    sum = V::add_pairs(sum, V::multiply(c.template codes<k>(), x), each.template of<k>());
  });
  const auto sum = V::add_i(even, odd);
  if constexpr (Codes::kBias == 0)
    return sum;
  else
    return V::sub_i(sum, V::times(V::pairs(scales, V::load_w(sums)), Codes::kBias));
}

/// The same where levels of eight bits are multiplied raised by 128, which what they are raised by is taken
/// off again. Sums stay below 2^24 (127 127 4 32 8), so that f32 is exact.
template <class V, class Codes>
inline typename V::f32 level_sum(const Codes& c, const int8_t* q) {
  alignas(32) float scales[8];
  V::store(scales, c.real_scales());
  in_memory(scales);
  typename V::f32 even = V::zero(), odd = V::zero();
  each_of_8([&]<int k>() {
    const auto x = V::load_b(q + 32 * k);
    const auto raise = V::sub_i(V::zero_i(), V::add_fours(V::zero_i(), V::splat_byte(-128), x));
    const auto sum = V::add_fours(raise, c.template raised_levels<k>(), x);
    auto& half = k % 2 ? odd : even;
    half = V::fma(V::real(sum), V::splat(scales[k]), half);
  });
  return even + odd;
}

template <class V, class Codes>
inline typename V::f32 real_sum(const Codes& c, const int8_t* q, const int16_t* sums) {
  if constexpr (requires { c.real_scales(); })
    return level_sum<V>(c, q);
  else
    return V::real(super_sum<V>(c, q, sums));
}

constexpr int kDotAhead = 2048;

/// R rows at once, y[r] for rows[r].
template <class V, class Codes, int R>
void dot_super(const typename Codes::Block* const (&rows)[R], const RoundedRow& x, int64_t count,
               float (&y)[R]) {
  typename V::f32 sum[R], below[R];
  for (int r = 0; r < R; ++r) sum[r] = below[r] = V::zero();
  for (int64_t b = 0; b < count; ++b) {
    const int16_t* sums = x.sums + 16 * b;
    for (int r = 0; r < R; ++r) {
      const Codes c{rows[r][b]};
      prefetch<kDotAhead>(&rows[r][b], sizeof rows[r][b]);
      const auto whole = real_sum<V>(c, x.q + 256 * b, sums);
      if constexpr (Codes::kMins) {
        typename V::f32 d, dmin;
        V::half_pair(&c.block.d, x.d[b], d, dmin);
        sum[r] = V::fma(whole, d, sum[r]);
        below[r] = V::fma(V::real(V::pairs(c.mins(), V::load_w(sums))), dmin, below[r]);
      } else {
        sum[r] = V::fma(whole, V::splat(c.d() * x.d[b]), sum[r]);
      }
    }
  }
  for (int r = 0; r < R; ++r) y[r] = V::sum(sum[r] - below[r]);
}

/// Codes with an offset have no signs, but where eight bits would overflow without.
template <class Codes>
constexpr bool kUnsigned = [] {
  if constexpr (requires { Codes::kSigned; }) return !Codes::kSigned;
  return Codes::kOffset;
}();

/// The part of group `g` of a short block, as eight lanes.
template <class V, class Codes>
inline typename V::f32 add_group(typename V::f32 sum, const Codes& c, int g, const RoundedRow& x,
                                 int64_t group) {
  const auto codes = c.codes(g), q = V::load_b(x.q + 32 * group);
  typename V::i products;
  if constexpr (kUnsigned<Codes>)
    products = V::products(codes, q);
  else
    products = V::products(V::abs_b(codes), V::sign_b(q, codes));
  return V::fma(V::real(products), c.d_everywhere(g) * V::splat(x.d[group]), sum);
}

/// Four sums of each row take turns, so that none waits for the one before.
template <class V, class Codes, int R>
void dot_short(const typename Codes::Block* const (&rows)[R], const RoundedRow& x, int64_t count,
               float (&y)[R]) {
  constexpr int groups = Codes::kGroups, at_once = 4 / groups;
  typename V::f32 sum[R][4];
  float offsets[R] = {};
  for (auto& row : sum)
    for (auto& s : row) s = V::zero();
  const auto block = [&](int64_t b, int n) {
    for (int r = 0; r < R; ++r) {
      const Codes c{rows[r][b]};
      prefetch<kDotAhead>(&rows[r][b], sizeof rows[r][b]);
      for (int g = 0; g < groups; ++g) {
        const int64_t group = b * groups + g;
        sum[r][n * groups + g] = add_group<V>(sum[r][n * groups + g], c, g, x, group);
        if constexpr (Codes::kOffset) offsets[r] += c.m(g) * x.s[group];
      }
    }
  };
  int64_t b = 0;
  for (; b + at_once <= count; b += at_once)
    for (int n = 0; n < at_once; ++n) block(b + n, n);
  for (; b < count; ++b) block(b, 0);
  for (int r = 0; r < R; ++r) y[r] = V::sum((sum[r][0] + sum[r][1]) + (sum[r][2] + sum[r][3])) + offsets[r];
}

/// Some rows at a time, a share of all rows apart: several streams of memory are read faster than one.
template <class V, class Codes, int R, auto some, auto one>
void dots_of_blocks(const PackedRows& rows, const RoundedRow& x, float* y) {
  using Block = typename Codes::Block;
  const int64_t blocks = rows.row_bytes / static_cast<int64_t>(sizeof(Block)), share = rows.count / R;
  const auto row = [&](int64_t r) { return reinterpret_cast<const Block*>(rows.data + r * rows.row_bytes); };
  for (int64_t r = 0; r < share; ++r) {
    const Block* at[R];
    float sums[R];
    for (int k = 0; k < R; ++k) at[k] = row(k * share + r);
    some(at, x, blocks, sums);
    for (int k = 0; k < R; ++k) y[k * share + r] = sums[k];
  }
  for (int64_t r = R * share; r < rows.count; ++r) {
    float last[1];
    one({row(r)}, x, blocks, last);
    y[r] = last[0];
  }
}

// --- unquantized weights
// ------------------------------------------------------------------------------------

template <class V>
struct ReadF32 {
  using Value = float;
  static typename V::f32 eight(const float* p) { return V::load(p); }
};
template <class V>
struct ReadF16 {
  using Value = uint16_t;
  static typename V::f32 eight(const uint16_t* p) { return V::load_half(p); }
};
template <class V>
struct ReadBf16 {
  using Value = uint16_t;
  static typename V::f32 eight(const uint16_t* p) { return V::load_bf16(p); }
};

/// Eight values of which only `count` are there; the others read as zero.
template <class V, class Read>
inline typename V::f32 read_some(const typename Read::Value* p, int64_t count) {
  typename Read::Value some[8] = {};
  for (int64_t k = 0; k < count; ++k) some[k] = p[k];
  return Read::eight(some);
}

template <class V, class Read>
float dot_real(const typename Read::Value* w, const float* x, int64_t cols) {
  typename V::f32 sum[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  int64_t k = 0;
  for (; k + 32 <= cols; k += 32)
    for (int n = 0; n < 4; ++n) sum[n] = V::fma(Read::eight(w + k + 8 * n), V::load(x + k + 8 * n), sum[n]);
  for (; k + 8 <= cols; k += 8) sum[0] = V::fma(Read::eight(w + k), V::load(x + k), sum[0]);
  if (k < cols)
    sum[1] = V::fma(read_some<V, Read>(w + k, cols - k), read_some<V, ReadF32<V>>(x + k, cols - k), sum[1]);
  return V::sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

template <class V, class Read>
void dots_of_reals(const PackedRows& rows, const RoundedRow& x, float* y) {
  for (int64_t r = 0; r < rows.count; ++r)
    y[r] = dot_real<V, Read>(reinterpret_cast<const typename Read::Value*>(rows.data + r * rows.row_bytes),
                             x.x, rows.cols);
}

}  // namespace
}  // namespace snug::infer

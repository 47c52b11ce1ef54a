#pragma once

#include "infer/kernels/kernels.hpp"
#include "infer/kernels/lanes.hpp"

// Rounding of activations, and laying tokens side by side.

namespace snug::infer {
namespace {

/// `count` (a multiple of 32) values times `by` as 8 bits. Sums of 16 go to sums[0..]; returns the sum of
/// all.
template <class V>
int32_t to_bytes(const float* x, int64_t count, float by, int8_t* q, int32_t* sums) {
  const auto factor = V::splat(by);
  int32_t all = 0;
  for (int64_t k = 0; k < count; k += 32) {
    typename V::i32 part[4];
    for (int n = 0; n < 4; ++n) {  // clamped: what is not finite gives any code, but no trap
      const auto scaled = V::load(x + k + 8 * n) * factor;
      part[n] = V::to_i(V::round(V::min(V::max(scaled, V::splat(-127)), V::splat(127))));
    }
    V::store_i8x32(q + k, part[0], part[1], part[2], part[3]);
    sums[k / 16] = V::sum_i(part[0] + part[1]);
    sums[k / 16 + 1] = V::sum_i(part[2] + part[3]);
    all += sums[k / 16] + sums[k / 16 + 1];
  }
  return all;
}

/// Magnitude of `count` values, a multiple of 32; not finite if one of them is not.
template <class V>
float largest(const float* x, int64_t count) {
  typename V::f32 most[4] = {V::zero(), V::zero(), V::zero(), V::zero()}, nothing = V::zero();
  for (int64_t k = 0; k < count; k += 32)
    for (int n = 0; n < 4; ++n) {
      const auto v = V::load(x + k + 8 * n);
      most[n] = V::max(V::abs(v), most[n]);
      nothing = nothing + (v - v);  // a maximum overlooks what is no number
    }
  return V::max_of(V::max(V::max(most[0], most[1]), V::max(most[2], most[3]))) + V::sum(nothing);
}

/// Takes the largest value to 127; values too small for that are zero. NaN if it is not finite: so is the block's
/// scale then, and every sum it has a part in.
inline float factor_of(float most) {
  if (!(most <= __FLT_MAX__)) return __builtin_nanf("");
  return most > 0x1p-120f ? 127.0f / most : 0.0f;
}

template <class V>
float through_half(float x) {
  return V::half(V::to_half(x));
}

/// `halves`: scales as f16 keeps them, and one sum for a block in place of two.
template <class V, bool halves>
void round_blocks32(const float* x, int64_t cols, const RoundedRow& out) {
  const auto kept = [](float value) { return halves ? through_half<V>(value) : value; };
  for (int64_t b = 0; b < cols / 32; ++b) {
    const float most = largest<V>(x + 32 * b, 32), d = most / 127.0f;
    int32_t sums[2];
    const int32_t sum = to_bytes<V>(x + 32 * b, 32, factor_of(most), out.q + 32 * b, sums);
    out.d[b] = kept(d);
    out.s[b] = kept(d * static_cast<float>(sum));
    if constexpr (halves)
      out.sums[b] = static_cast<int16_t>(sum);
    else
      for (int k = 0; k < 2; ++k) out.sums[2 * b + k] = static_cast<int16_t>(sums[k]);
  }
}

/// 256 values times `by`, and the sums of sixteen as RoundedRow has them.
template <class V>
void round_block256(const float* x, float by, int8_t* q, int16_t* sums) {
  int32_t in_order[16];
  to_bytes<V>(x, 256, by, q, in_order);
  for (int k = 0; k < 16; ++k) sums[k] = static_cast<int16_t>(in_order[2 * (k % 8) + k / 8]);
}

template <class V>
void round_blocks256(const float* x, int64_t cols, const RoundedRow& out) {
  for (int64_t b = 0; b < cols / 256; ++b) {
    float by;
    if constexpr (requires { V::largest256(x); }) {
      by = factor_of(V::largest256(x + 256 * b));
      V::round_block256(x + 256 * b, by, out.q + 256 * b, out.sums + 16 * b);
    } else {
      by = factor_of(largest<V>(x + 256 * b, 256));
      round_block256<V>(x + 256 * b, by, out.q + 256 * b, out.sums + 16 * b);
    }
    out.d[b] = by != 0 ? 1.0f / by : 0.0f;
  }
}

inline float through_bf16(float x) {
  const auto bits = __builtin_bit_cast(uint32_t, x);
  if ((bits & 0x7fffffff) > 0x7f800000) return x;
  return __builtin_bit_cast(float, (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
}

template <class V>
void round_row(Rounding rounding, const float* x, int64_t cols, const RoundedRow& out) {
  switch (rounding) {
    case Rounding::none:
      for (int64_t k = 0; k < cols; ++k) out.x[k] = x[k];
      return;
    case Rounding::f16:
      for (int64_t k = 0; k < cols; ++k) out.x[k] = through_half<V>(x[k]);
      return;
    case Rounding::bf16:
      for (int64_t k = 0; k < cols; ++k) out.x[k] = through_bf16(x[k]);
      return;
    case Rounding::blocks32:
      return round_blocks32<V, true>(x, cols, out);
    case Rounding::blocks256:
      return round_blocks256<V>(x, cols, out);
    case Rounding::blocks32_f32:
      return round_blocks32<V, false>(x, cols, out);
  }
}

/// Column by column: to[k][token] = rows[token][k], for f32 values of which `cols` may be any number.
template <class V, class Row>
void interleave_reals(Row&& row, int64_t cols, float* to) {
  int64_t k = 0;
  for (; k + 8 <= cols; k += 8) {
    typename V::f32 part[8];
    for (int t = 0; t < 8; ++t) part[t] = V::load(row(t) + k);
    V::transpose(part);
    for (int n = 0; n < 8; ++n) V::store(to + (k + n) * 8, part[n]);
  }
  for (; k < cols; ++k)
    for (int t = 0; t < 8; ++t) to[k * 8 + t] = row(t)[k];
}

template <class V>
void interleave_pairs(const RoundedRow* rows, int64_t cols, int16_t* to) {
  for (int64_t k = 0; k < cols; k += 16) {
    typename V::f32 part[8];
    for (int t = 0; t < 8; ++t) part[t] = V::as_f32(V::widen(rows[t].q + k));
    V::transpose(part);
    for (int n = 0; n < 8; ++n) V::store_w(to + (k + 2 * n) * 8, V::as_w(part[n]));
  }
}

template <class V>
void interleave_fours(const RoundedRow* rows, int64_t cols, int8_t* to) {
  for (int64_t k = 0; k < cols; k += 32) {
    typename V::f32 part[8];
    for (int t = 0; t < 8; ++t) part[t] = V::load(reinterpret_cast<const float*>(rows[t].q + k));
    V::transpose(part);
    for (int n = 0; n < 8; ++n) V::store(reinterpret_cast<float*>(to + (k + 4 * n) * 8), part[n]);
  }
}

template <class V>
void interleave_tile(Rounding rounding, Layout layout, const RoundedRow* rows, int64_t tile,
                     const TokenTiles& out) {
  const int64_t size = out.cols * kTileTokens;
  if (rounding < Rounding::blocks32)
    return interleave_reals<V>([&](int t) { return rows[t].x; }, out.cols, out.x + tile * size);
  if (layout == Layout::bytes)
    interleave_fours<V>(rows, out.cols, out.bytes + tile * size);
  else
    interleave_pairs<V>(rows, out.cols, out.q + tile * size);
  const int64_t blocks = out.cols / block_of(rounding);
  interleave_reals<V>([&](int t) { return rows[t].d; }, blocks, out.d + tile * blocks * kTileTokens);
  if (has_offsets(rounding)) {
    interleave_reals<V>([&](int t) { return rows[t].s; }, blocks, out.s + tile * blocks * kTileTokens);
  } else {
    int16_t* sums = out.sums + tile * size / 16;
    for (int64_t p = 0; p < out.cols / 32; ++p)
      for (int t = 0; t < 8; ++t)
        for (int n = 0; n < 2; ++n) sums[p * 16 + 2 * t + n] = rows[t].sums[2 * p + n];
  }
}

}  // namespace
}  // namespace snug::infer

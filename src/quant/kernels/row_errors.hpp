#pragma once

#include <cstring>

#include "quant/kernels/bits.hpp"
#include "quant/kernels/kernels.hpp"
#include "quant/kernels/simd.hpp"

// Sums over a row for encode_row.cpp: see RowWork. Counts are multiples of eight.

namespace snug {

/// Whether no x is infinite or NaN; any count.
template <Simd V>
bool all_finite(const float* x, int64_t count) noexcept {
  const auto exponent = V::splat_i(0x7f800000);
  const auto bad_at = [&](const float* p) { return V::eq_i(V::bits_i(V::load(p)) & exponent, exponent); };
  auto bad = V::lt(V::zero(), V::zero());
  int64_t j = 0;
  for (; j + 16 <= count; j += 16) {
    prefetch<4096>(x + j, 16 * sizeof *x);  // the first to see a row
    bad = bad | (bad_at(x + j) | bad_at(x + j + 8));
  }
  for (; j < count; j += 8) {
    float rest[8] = {};
    std::memcpy(rest, x + j, static_cast<size_t>(count - j < 8 ? count - j : 8) * sizeof(float));
    bad = bad | bad_at(rest);
  }
  return V::bits(bad) == 0;
}

template <Simd V>
void weigh_columns(const float* v, const float* m, int64_t count, float* weights, float* shift) noexcept {
  for (int64_t j = 0; j < count; j += 8) {
    const auto vs = V::load(v + j), ms = V::load(m + j);
    const auto w = V::max(vs - ms * ms, V::splat(0.02f) * vs);
    V::store(weights + j, w);
    V::store(shift + j, V::select(V::lt(V::zero(), w), ms / w, V::zero()));
  }
}

template <Simd V>
float sum_products(const float* a, const float* b, int64_t count) noexcept {
  auto sum = V::zero();
  for (int64_t j = 0; j < count; j += 8) sum = V::fma(V::load(a + j), V::load(b + j), sum);
  return V::sum(sum);
}

template <Simd V>
RowErrors row_errors(const float* decoded, const float* x, const float* weights, const float* mean,
                     int64_t count) noexcept {
  RowErrors out{0, 0};
  for (int64_t from = 0; from < count; from += 256) {
    const int64_t to = from + 256 < count ? from + 256 : count;
    auto square = V::zero(), along = V::zero();
    for (int64_t j = from; j < to; j += 8) {
      const auto d = V::load(decoded + j) - V::load(x + j);
      square = V::fma(V::load(weights + j) * d, d, square);
      along = V::fma(V::load(mean + j), d, along);
    }
    out.diagonal += V::sum(square);
    out.along_mean += V::sum(along);
  }
  return out;
}

template <Simd V>
void gain_sums(const float* w, const float* q, const float* v, const float* m, int64_t count,
               GainSums& sums) noexcept {
  for (int64_t from = 0; from < count; from += 256) {
    const int64_t to = from + 256 < count ? from + 256 : count;
    auto ww = V::zero(), wq = V::zero(), qq = V::zero(), mean_w = V::zero(), mean_q = V::zero();
    for (int64_t j = from; j < to; j += 8) {
      const auto ws = V::load(w + j), qs = V::load(q + j), mean = m ? V::load(m + j) : V::zero();
      const auto u = (v ? V::load(v + j) : V::splat(1)) - mean * mean, uw = u * ws, uq = u * qs;
      ww = V::fma(uw, ws, ww);
      wq = V::fma(uw, qs, wq);
      qq = V::fma(uq, qs, qq);
      mean_w = V::fma(mean, ws, mean_w);
      mean_q = V::fma(mean, qs, mean_q);
    }
    sums.ww += V::sum(ww);
    sums.wq += V::sum(wq);
    sums.qq += V::sum(qq);
    sums.mean_w += V::sum(mean_w);
    sums.mean_q += V::sum(mean_q);
  }
}

/// What would not be finite stays as it is.
template <Simd V>
void aim(const float* x, const float* shift, float step, int64_t count, float* target) noexcept {
  const auto by = V::splat(step), limit = V::splat(0x1.fffffep127f);
  for (int64_t j = 0; j < count; j += 8) {
    const auto from = V::load(x + j), to = from - by * V::load(shift + j);
    V::store(target + j, V::select(V::le(V::abs(to), limit), to, from));
  }
}

}  // namespace snug

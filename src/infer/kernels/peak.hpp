#pragma once

#include "infer/kernels/kernels.hpp"
#include "infer/kernels/lanes.hpp"
#include "quant/kernels/bits.hpp"

// What the machine can do at best: loops with nothing in them but what is counted.

namespace snug::infer {
namespace {

/// A sum of all words; `bytes` is a multiple of 128.
template <class V>
uint64_t read_all(const void* from, int64_t bytes) {
  const auto* p = static_cast<const std::byte*>(from);
  typename V::i sum[4] = {V::zero_i(), V::zero_i(), V::zero_i(), V::zero_i()};
  for (int64_t k = 0; k < bytes; k += 128)
    for (int n = 0; n < 4; ++n) sum[n] = V::add_i(sum[n], V::as_i(V::load_b(p + k + 32 * n)));
  const auto all = V::real(V::add_i(V::add_i(sum[0], sum[1]), V::add_i(sum[2], sum[3])));
  return __builtin_bit_cast(uint32_t, V::sum(all));
}

/// The same as fast as is known: pages side by side, and asked for ahead. `bytes` is a multiple of 16 KiB.
template <class V>
uint64_t read_ahead(const void* from, int64_t bytes) {
  constexpr int64_t pages = 4, page = 4096, line = 64;
  const auto* p = static_cast<const std::byte*>(from);
  typename V::i sum[pages];
  for (auto& s : sum) s = V::zero_i();
  for (int64_t at = 0; at < bytes; at += pages * page)
    for (int64_t k = 0; k < page; k += line)
      for (int64_t n = 0; n < pages; ++n) {
        const std::byte* here = p + at + n * page + k;
        prefetch<pages * page>(here, line);
        sum[n] = V::add_i(sum[n], V::as_i(V::load_b(here)));
        sum[n] = V::add_i(sum[n], V::as_i(V::load_b(here + line / 2)));
      }
  const auto all = V::real(V::add_i(V::add_i(sum[0], sum[1]), V::add_i(sum[2], sum[3])));
  return __builtin_bit_cast(uint32_t, V::sum(all));
}

/// Keeps the compiler from taking a value out of a loop.
template <class T>
void opaque(T& value) {
  asm volatile("" : "+m"(value));
}

constexpr int kChains = 12;  // enough to hide latencies, few enough for 16 registers

template <class V>
float integer_peak(int64_t steps) {
  int16_t start[2] = {3, 5};
  opaque(start);
  const auto x = V::splat_pair(start);
  typename V::i sum[kChains];
  for (auto& s : sum) s = V::zero_i();
  for (int64_t step = 0; step < steps; ++step)
    for (auto& s : sum) s = V::add_pairs(s, V::from_i(s), x);
  auto all = sum[0];
  for (int n = 1; n < kChains; ++n) all = V::add_i(all, sum[n]);
  return V::sum(V::real(all));
}
static_assert(kIntegerPeakOperations == kChains * 32);

template <class V>
float real_peak(int64_t steps) {
  float start = 0.5f;
  opaque(start);
  const auto x = V::splat(start);
  typename V::f32 sum[kChains];
  for (auto& s : sum) s = V::zero();
  for (int64_t step = 0; step < steps; ++step)
    for (auto& s : sum) s = V::fma(s, x, x);
  auto all = sum[0];
  for (int n = 1; n < kChains; ++n) all = all + sum[n];
  return V::sum(all);
}
static_assert(kRealPeakOperations == kChains * 16);

}  // namespace
}  // namespace snug::infer

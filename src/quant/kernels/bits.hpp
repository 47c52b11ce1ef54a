#pragma once

#include <cstdint>
#include <cstring>

// Small helpers that every kernel file shares. Internal linkage: see simd.hpp.

namespace snug {
namespace {

inline uint32_t u32_at(const uint8_t* p) {
  uint32_t out;
  std::memcpy(&out, p, sizeof out);
  return out;
}

inline void put_u32(uint8_t* p, uint32_t value) {
  std::memcpy(p, &value, sizeof value);
}

/// Keeps values in memory that compilers would hold in registers: to spread one over a vector, a load is free
/// while shuffles all wait for one port.
template <class T>
void in_memory(T& values) {
  asm("" : "+m"(values));
}

/// Asks for what a stream of blocks comes to soon. Reading along one mapped file page by page, the
/// processor's own guesses stop at the end of each page, and what it holds in flight is little more than a
/// block.
template <int ahead>
void prefetch(const void* from, size_t bytes) {
  constexpr uintptr_t line = 64;
  const auto start = reinterpret_cast<uintptr_t>(from) + ahead;  // may be beyond the end: no pointer yet
  for (uintptr_t k = 0; k < bytes; k += line) __builtin_prefetch(reinterpret_cast<const void*>(start + k));
}

inline float float_of_bits(uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
inline uint32_t bits_of_float(float value) {
  return __builtin_bit_cast(uint32_t, value);
}

/// An E8M0 exponent: 2^(code - 127), infinity for the last.
inline float e8m0_value(uint8_t code) {
  return float_of_bits(code == 0 ? 0x00400000u : static_cast<uint32_t>(code) << 23);
}

/// What an E8M0 exponent of mxfp4 means for kFp4 (doubled E2M1): 2^(e - 128), subnormal below e = 2.
inline float mxfp4_scale(uint8_t e) {
  return float_of_bits(e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23);
}

/// Half the value of an unsigned E4M3 code (bias 7), for kFp4; codes 0 and 0x7f are 0, bit 7 does not count.
inline float nvfp4_scale(uint8_t code) {
  const int exponent = code >> 3 & 15, fraction = code & 7;
  if ((code & 0x7f) == 0x7f) return 0;
  if (exponent == 0) return static_cast<float>(fraction) * 0x1p-10f;
  return static_cast<float>(8 + fraction) * float_of_bits(static_cast<uint32_t>(exponent - 11 + 127) << 23);
}

struct ScaleMin {
  uint8_t scale, min;
};

/// The k-th pair of K4 scales (blocks.hpp).
inline ScaleMin k4_scale(const uint8_t* s, int k) {
  if (k < 4) return {static_cast<uint8_t>(s[k] & 63), static_cast<uint8_t>(s[k + 4] & 63)};
  return {static_cast<uint8_t>((s[k + 4] & 15) | s[k - 4] >> 6 << 4),
          static_cast<uint8_t>(s[k + 4] >> 4 | s[k] >> 6 << 4)};
}

/// The k-th 6-bit scale of q3_K, still offset by 32.
inline int q3k_scale(const uint8_t* s, int k) {
  const int low = k < 8 ? s[k] & 15 : s[k - 8] >> 4;
  return low | (s[8 + k % 4] >> 2 * (k / 4) & 3) << 4;
}

/// A 7-bit sign index as a sign byte: an even number of negatives.
inline uint8_t sign_byte(uint32_t index) {
  const auto s = static_cast<uint8_t>(index & 127);
  return static_cast<uint8_t>(s | (__builtin_popcount(s) & 1) << 7);
}

/// Scale of sub-group g (8 weights) of iq2_xs and iq2_s.
inline float iq2_scale(float super, const uint8_t* scales, int g) {
  return super * (0.5f + static_cast<float>(scales[g / 4] >> 4 * (g / 2 % 2) & 15)) * 0.25f;
}

/// The largest E4M3 code (0..126) whose nvfp4_scale is at most `scale`.
inline int nvfp4_code_below(float scale) {
  int code = 0;
  for (int step = 64; step; step /= 2)
    if (code + step <= 126 && nvfp4_scale(static_cast<uint8_t>(code + step)) <= scale) code += step;
  return code;
}

/// Base-3 digits (codes 0..2), first most significant, as tq1_0 stores them: ceil(v 256 / 243). Missing ones
/// are 0.
inline uint8_t pack_trits(const uint8_t* first, int step, int digits) {
  int v = 0;
  for (int n = 0; n < 5; ++n) v = 3 * v + (n < digits ? first[n * step] : 0);
  return static_cast<uint8_t>((v * 256 + 242) / 243);
}

}  // namespace
}  // namespace snug

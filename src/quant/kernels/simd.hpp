#pragma once

#include <concepts>
#include <cstdint>

// What an instruction set supplies to the kernels: a struct V in an anonymous namespace (so that everything
// instantiated with it has internal linkage and no instruction of one set leaks into code of another), with
// three value types of EIGHT lanes on every set, and static functions on them. Each operation gives the same
// bits on every set.
//
//   V::f32   + - * / unary-   IEEE single, each rounded once
//   V::i32   + - * & | ^      32-bit, wrapping
//   V::mask  & | ~            one truth value a lane
//
//   zero() splat(float) iota() load(const float*) store(float*, f32)       unaligned
//   splat_i(int32_t) iota_i() load_i(const int32_t*) store_i(int32_t*, i32)
//   load_u8 load_i8 load_u16 load_i16 (p) -> i32                           eight elements, widened
//   store_u8(uint8_t*, i32) store_u16(uint16_t*, i32)    low bits of the lanes, which must fit
//   fma(a, b, c)          a b + c rounded ONCE (scalar: std::fma). Written a * b + c rounds twice, always.
//   add_exact(a, b, c)    a b + c where a b is exact, so that either way gives the same: the quicker
//   min(a, b) max(a, b)   a < b ? a : b, a > b ? a : b: the second where one is NaN. Also for i32.
//   abs sqrt round        round: to nearest even, still f32
//   to_i(f32)             to nearest even; lanes must be within int32 (clamp first), NaN gives anything
//   cut_i(f32)            the same, towards zero
//   to_f(i32)
//   bits_i(f32) bits_f(i32)          reinterpret
//   shl<n>(i32) shr<n>(i32)          shr is logical; shrv(i32, i32 counts 0..31)
//   lt le eq (f32, f32) -> mask      eq_i lt_i for i32
//   select(mask, a, b)               mask ? a : b; f32 and i32
//   bits(mask) -> uint32_t           lane k in bit k
//   sum(f32) -> float                ((v0+v4)+(v2+v6)) + ((v1+v5)+(v3+v7)); sum_i for i32 (wrapping)
//   max_of(f32) min_of(f32) -> float without NaN; the order does not matter
//   gather(const float*, i32) gather_i(const int32_t*, i32)
//   permute(f32, i32)                lane k takes lane (index[k] & 7)
//   transpose(f32 (&rows)[8])        lane k of row i and lane i of row k change places
//   lookup16(const float* table16, i32)  table16[index[k] & 15]
//   V::bytes  32 unsigned bytes in two halves of 16, for searches in tables of small costs
//   load_bytes(const uint8_t*)       32 of them; load_twice(p): the same 16 in both halves; load_two(p, q)
//   store_bytes(uint8_t*, bytes)
//   splat_b(uint8_t)
//   low_twice(b) high_twice(b)       that half in both
//   pack(a, b, c, d)                 half h: lanes 4h.. 4h+3 of a, of b, of c, of d, clamped to 0..255
//   lookup(bytes table, bytes index) in each half: table[index], index < 16
//   low_nibbles(b) high_nibbles(b)   each byte & 15, >> 4
//   zip_low(a, b) zip_high(a, b)     in each half: words a0 b0 a1 b1, a2 b2 a3 b3 (32 bits each)
//   add_sat(a, b) min(a, b)          add_sat stops at 255
//   add_halves(a, b)                 half 0: a's halves added (to at most 255), half 1: b's
//   bits_le(a, b) -> uint32_t        bit k: a_k <= b_k; select_le(a, b, x, y): a_k <= b_k ? x_k : y_k
//   least<half>(bytes) -> uint32_t   the smallest byte of that half << 8 | where it is first
//   half(uint16_t) -> float, to_half(float) -> uint16_t, load_half(const uint16_t*), store_half(uint16_t*,
//   f32)
//
// Kernel files include only each other, blocks.hpp, codebooks.hpp and intrinsics, and call no inline function
// of the standard library: such a function, compiled for AVX2, could be the copy the linker keeps for
// everybody. Helpers are templates on V, or live in an anonymous namespace.

namespace snug {

template <class V>
concept Simd = requires(typename V::f32 f, typename V::i32 i, typename V::mask m, const float* p,
                        const uint8_t* u) {
  { V::splat(1.0f) } -> std::same_as<typename V::f32>;
  { V::load(p) } -> std::same_as<typename V::f32>;
  { V::load_u8(u) } -> std::same_as<typename V::i32>;
  { V::fma(f, f, f) } -> std::same_as<typename V::f32>;
  { V::to_i(f) } -> std::same_as<typename V::i32>;
  { V::lt(f, f) } -> std::same_as<typename V::mask>;
  { V::select(m, f, f) } -> std::same_as<typename V::f32>;
  { V::select(m, i, i) } -> std::same_as<typename V::i32>;
  { V::sum(f) } -> std::same_as<float>;
};

}  // namespace snug

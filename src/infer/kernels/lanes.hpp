#pragma once

#include <cstdint>

// What the packed kernels need of an instruction set beyond quant/kernels/simd.hpp, which a set of lanes V
// derives from (V::f32 and its arithmetic, load, store, fma, half, transpose, sum):
//
//   b   32 bytes, u8 or i8 by use          w   16 x i16          i   8 x i32
//   kShortRows  rows of short blocks that go through dot products together
//
//   load_b(p) twice(p) splat_byte(x)       32 bytes; 16 bytes in both halves; one byte everywhere
//   nibbles(p)                             low nibbles of 16 bytes, then their high nibbles
//   from_u64(a, c, d, e)                   8 bytes each
//   four_of_8(p0, p1, p2, p3)              four groups of 8 bytes
//   eight_of_4(table, index)               eight 4-byte entries of a table
//   indices(low8) indices(low8, ninth)     i: eight bytes; with bit k of `ninth` as ninth bit of index k
//   halves(low, high)                      low half of each
//   mask_of(word)                          byte k: bit k of the word ? 0xff : 0
//   and_b or_b add_b sub_b ge_b            bytewise; add and sub wrap; ge_b: unsigned x >= y ? 0xff : 0
//   shift_right<n> shift_left<n>           bits of the neighbour byte come in: mask afterwards
//   look_up(table16, index)                table[index], index < 16
//   abs_b(x) sign_b(x, s)                  |x| as u8; s < 0 ? -x : s == 0 ? 0 : x
//   splat_four(p) store_b(p, x)            four bytes everywhere; 32 bytes
//   add_w(x, y)                            w
//   negate_where(x, word)                  byte k: bit k of the word ? -x : x; x is not -128
//   put_sign_words(words, i)               of eight times four 7-bit sign indices (28 bits): 32 sign bits
//   each multiply(u, x)                         w: products of u8 and i8, added in pairs; these must fit 16
//   bits splat_pair(p)                          w: two neighbouring i16 everywhere scales8(s) scales16(s) w:
//   i8 scales of a super-block: lane k and lane 8 + k belong to the
//                                          32 weights k, to their first and second half
//   pair_of<k>(scales)                     w: lane k in the first half, lane 8 + k in the second
//   each_twice(scales)                     w: lanes 0, 0, 1, 1, ... 7, 7
//   six_bits(p, scales, mins)              w, as scales8() makes them, of the 12 bytes of q4_K; 16 are read
//   half_pair(p, by, first, second)        f32: two f16 after each other times `by`, everywhere
//   store_products(p, x, pair)             32 i16: i8 codes times the scale of their half
//   store_wide(p, x)                       32 i16
//   stream_codes<bits>(p)                  32 codes of 2 to 6 bits that follow each other; 4 bytes more are read
//   stream_nibbles(p, q)                   nibbles of 8 bytes and of 8 others, of each byte the low one first
//   e4m3(p)                                f32: eight E4M3 codes, their values over 256
//   every_other(p)                         i: the second, fourth, ... of 16 words
//   top_scales(words)                      w as scales8: 2 s + 1 with s the top four bits of a word
//   pairs(x, y) add_pairs(sum, x, y)       i: products of i16, added in pairs; added to a sum
//   products(u, x)                         i: products of u8 and i8, added in fours, in pairs as multiply()
//   times add_i sub_i zero_i real          of i; real: to f32, rounded to nearest even
//   splat_halves(low, high)                f32: four lanes each
//   splat_half(bits)                       f32: an f16 everywhere
//   widen(p)                               w: 16 i8
//   as_f32(w) as_w(f32) as_i(b) from_i(i)  the same bits
//   load_bf16(p)                           f32
//
// and with V::kFours, for codes of all eight bits:
//
//   add_fours(sum, u, x)                   i: any products of u8 and i8, added in fours to a sum
//   raised_level(p)                        iq4 levels of nibbles(p), plus 128
//   iq4_scales(low, high)                  f32: the eight scales of a block of iq4_xs
//   nibble_levels(levels, p, high)         levels of the low or high nibbles of 32 bytes
//   eight_bytes(p) times_each(x, y)        i: eight i8; products lane by lane

namespace snug::infer {

struct Bytes16 {
  uint64_t low, high;
};

}  // namespace snug::infer

#pragma once

#include "quant/block_fields.hpp"
#include "quant/blocks_k.hpp"
#include "quant/blocks_short.hpp"
#include "quant/codebooks/codebooks.hpp"

// Blocks of 256 weights whose codes stand for entries of a codebook, and iq4_xs. See blocks.hpp.
//
// A grid entry gives 8 (iq1, iq2) or 4 (iq3) magnitudes, see codebooks.hpp. Bit j of a sign byte set: element j
// negated. A 7-bit sign index s means the byte s | parity(s) << 7. Sub-group g: weights 8g.. ; group b: weights
// 32b...

namespace snug {

#pragma pack(push, 1)

struct BlockIq2Xxs {  // y = d (0.5 + s) / 4 grid sign
  uint16_t d;         // f16
  uint8_t qs[64];     // group b at 8b: four grid indices, then a u32: bits 7l.. sign index of sub-group l,
                      // 28.. s

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) { return {field(static_cast<size_t>(2 + 8 * (i / 4) + i % 4), 0, 8), {}}; }
  static constexpr CodePlace sign(int g) {
    return {field(static_cast<size_t>(2 + 8 * (g / 4) + 4), g % 4 * 7, 7), {}};
  }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockIq2Xxs, d))},
            .code = code,
            .entries = 256,
            .dimensions = 8,
            .values = kIq2XxsGrid.at[0],
            .signs = BlockFields::Signs::even,
            .sign = sign};
  }
};

struct BlockIq2Xs {   // y = d (0.5 + s) / 4 grid sign
  uint16_t d;         // f16
  uint16_t qs[32];    // sub-group g: grid index in bits 0..8, sign index above
  uint8_t scales[8];  // s of 16 weights: group b, first half low nibble, second half high

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) { return {field(static_cast<size_t>(2 + 2 * i), 0, 9), {}}; }
  static constexpr CodePlace sign(int g) { return {field(static_cast<size_t>(2 + 2 * g), 9, 7), {}}; }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockIq2Xs, d))},
            .code = code,
            .entries = 512,
            .dimensions = 8,
            .values = kIq2XsGrid.at[0],
            .signs = BlockFields::Signs::even,
            .sign = sign};
  }
};

struct BlockIq2S {    // y = d (0.5 + s) / 4 grid sign
  uint16_t d;         // f16
  uint8_t qs[32];     // sub-group g: low eight bits of the index
  uint8_t signs[32];  // sub-group g: sign byte
  uint8_t qh[8];      // group b: high two bits of sub-group 4b + l in bits 2l..
  uint8_t scales[8];  // as BlockIq2Xs

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) {
    return {field(static_cast<size_t>(2 + i), 0, 8), field(static_cast<size_t>(66 + i / 4), i % 4 * 2, 2)};
  }
  static constexpr CodePlace sign(int g) { return {field(static_cast<size_t>(34 + g), 0, 8), {}}; }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockIq2S, d))},
            .code = code,
            .entries = 1024,
            .dimensions = 8,
            .values = kIq2SGrid.at[0],
            .signs = BlockFields::Signs::bytes,
            .sign = sign};
  }
};

struct BlockIq3Xxs {  // y = d (0.5 + s) / 2 grid sign
  uint16_t d;         // f16
  uint8_t qs[64];     // index of quad i / 4
  uint8_t gas[32];    // group b: u32 at 4b: bits 7l.. sign index of sub-group 4b + l, 28.. s

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) { return {field(static_cast<size_t>(2 + i), 0, 8), {}}; }
  static constexpr CodePlace sign(int g) {
    return {field(static_cast<size_t>(66 + g / 4 * 4), g % 4 * 7, 7), {}};
  }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockIq3Xxs, d))},
            .code = code,
            .entries = 256,
            .dimensions = 4,
            .values = kIq3XxsGrid.at[0],
            .signs = BlockFields::Signs::even,
            .sign = sign};
  }
};

struct BlockIq3S {    // y = d (1 + 2s) grid sign
  uint16_t d;         // f16
  uint8_t qs[64];     // quad i / 4: low eight bits of the index
  uint8_t qh[8];      // group b: ninth bit of quad 8b + q in bit q
  uint8_t signs[32];  // sub-group g: sign byte
  uint8_t scales[4];  // s of group b: nibble b % 2 of scales[b / 2]

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) {
    return {field(static_cast<size_t>(2 + i), 0, 8), field(static_cast<size_t>(66 + i / 8), i % 8, 1)};
  }
  static constexpr CodePlace sign(int g) { return {field(static_cast<size_t>(74 + g), 0, 8), {}}; }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockIq3S, d))},
            .code = code,
            .entries = 512,
            .dimensions = 4,
            .values = kIq3SGrid.at[0],
            .signs = BlockFields::Signs::bytes,
            .sign = sign};
  }
};

struct BlockIq1S {  // y = d (2s + 1) (grid + delta)
  uint16_t d;       // f16
  uint8_t qs[32];   // sub-group g: low eight bits of the index
  uint16_t qh[8];   // group b: high three bits of sub-group 4b + l in bits 3l.., s in 12..14,
                    // delta = bit 15 ? -1/8 : 1/8

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) {
    return {field(static_cast<size_t>(2 + i), 0, 8), field(static_cast<size_t>(34 + i / 4 * 2), i % 4 * 3, 3)};
  }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockIq1S, d))},
            .code = code,
            .entries = 2048,
            .dimensions = 8,
            .values = kIq1RaisedGrid.at[0]};
  }
};

struct BlockIq1M {     // y = d (2s + 1) (grid + delta)
  uint8_t qs[32];      // sub-group g: low eight bits of the index
  uint8_t qh[16];      // sub-group g: nibble g % 2 of qh[g / 2]: high three bits, bit 3: delta negative
  uint16_t scales[4];  // s of 16 weights t: scales[t / 4] >> 3 (t % 4) & 7; d (f16): nibble k is scales[k] >> 12

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) {
    return {field(static_cast<size_t>(i), 0, 8), field(static_cast<size_t>(32 + i / 2), i % 2 * 4, 3)};
  }
  static constexpr CodePlace sign(int g) { return {field(static_cast<size_t>(32 + g / 2), g % 2 * 4 + 3, 1), {}}; }
  static constexpr BlockFields fields() {
    constexpr size_t top = offsetof(BlockIq1M, scales) + 1;
    return {.scales = {{{field(top, 4, 4), field(top + 2, 4, 4), field(top + 4, 4, 4), field(top + 6, 4, 4)}}},
            .code = code,
            .entries = 2048,
            .dimensions = 8,
            .values = kIq1RaisedGrid.at[0],
            .signs = BlockFields::Signs::shift,
            .sign = sign};
  }
};

struct BlockIq4Xs {     // y = d (S - 32) kIq4[n]
  uint16_t d;           // f16
  uint16_t scales_h;    // group b: high two bits of S in bits 2b..
  uint8_t scales_l[4];  // low four in nibble b % 2 of scales_l[b / 2]
  uint8_t qs[128];      // group b at 16b, nibbles as in the 32-weight blocks

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) { return nibble_place(offsetof(BlockIq4Xs, qs), i, 16); }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockIq4Xs, d))},
            .code = code,
            .levels = 16,
            .table = kIq4,
            .unit_code = kIq4UnitCode};
  }
};

#pragma pack(pop)

static_assert(sizeof(BlockIq2Xxs) == 66 && sizeof(BlockIq2Xs) == 74 && sizeof(BlockIq2S) == 82);
static_assert(sizeof(BlockIq3Xxs) == 98 && sizeof(BlockIq3S) == 110);
static_assert(sizeof(BlockIq1S) == 50 && sizeof(BlockIq1M) == 56 && sizeof(BlockIq4Xs) == 136);

}  // namespace snug

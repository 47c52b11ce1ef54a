#pragma once

#include "quant/block_fields.hpp"

// Blocks of 16 to 128 weights, with one scale or a few: see blocks.hpp.
// Nibbles: byte j holds weight j low and weight j + 16 high.

namespace snug {

/// Decoded levels of the 4-bit codes of iq4_nl and iq4_xs, and of E2M1 doubled (mxfp4, nvfp4).
constexpr float kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr float kFp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
constexpr uint32_t kIq4UnitCode = 8, kFp4UnitCode = 1;  // of level 1

#pragma pack(push, 1)

struct BlockQ4_0 {  // y = d (n - 8)
  uint16_t d;       // f16
  uint8_t qs[16];   // n

  static constexpr uint32_t kWeights = 32;
  static constexpr CodePlace code(int i) { return nibble_place(offsetof(BlockQ4_0, qs), i, 16); }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockQ4_0, d))}, .lone_scale = {0, 2, 32}, .code = code, .levels = 16};
  }
};

struct BlockQ4_1 {  // y = d n + m
  uint16_t d, m;    // f16
  uint8_t qs[16];   // n

  static constexpr uint32_t kWeights = 32;
  static constexpr CodePlace code(int i) { return nibble_place(offsetof(BlockQ4_1, qs), i, 16); }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockQ4_1, d)), scale_at(offsetof(BlockQ4_1, m))},
            .code = code,
            .levels = 16};
  }
};

struct BlockQ5_0 {  // y = d (n - 16)
  uint16_t d;       // f16
  uint8_t qh[4];    // bit i of the little-endian u32: fifth bit of weight i
  uint8_t qs[16];   // low four bits of n

  static constexpr uint32_t kWeights = 32;
  static constexpr CodePlace code(int i) {
    return {nibble_place(offsetof(BlockQ5_0, qs), i, 16).low, field(offsetof(BlockQ5_0, qh), i, 1)};
  }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockQ5_0, d))}, .lone_scale = {0, 2, 32}, .code = code, .levels = 32};
  }
};

struct BlockQ5_1 {        // y = d n + m
  uint16_t d, m;          // f16
  uint8_t qh[4], qs[16];  // n as in BlockQ5_0

  static constexpr uint32_t kWeights = 32;
  static constexpr CodePlace code(int i) {
    return {nibble_place(offsetof(BlockQ5_1, qs), i, 16).low, field(offsetof(BlockQ5_1, qh), i, 1)};
  }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockQ5_1, d)), scale_at(offsetof(BlockQ5_1, m))},
            .code = code,
            .levels = 32};
  }
};

struct BlockQ8_0 {  // y = d q
  uint16_t d;       // f16
  int8_t qs[32];    // q

  static constexpr uint32_t kWeights = 32;
  static constexpr CodePlace code(int i) {  // code 0 is -127
    return {field(offsetof(BlockQ8_0, qs) + static_cast<size_t>(i), 0, 8), {}, 256 - 127};
  }
  static constexpr BlockFields fields() { return {.code = code, .levels = 255}; }
};

struct BlockIq4Nl {  // y = d kIq4[n]
  uint16_t d;        // f16
  uint8_t qs[16];    // n

  static constexpr uint32_t kWeights = 32;
  static constexpr CodePlace code(int i) { return nibble_place(offsetof(BlockIq4Nl, qs), i, 16); }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockIq4Nl, d))},
            .lone_scale = {0, 2, 32},
            .code = code,
            .levels = 16,
            .table = kIq4,
            .unit_code = kIq4UnitCode};
  }
};

struct BlockMxfp4 {  // y = 2^(e - 128) kFp4[n]
  uint8_t e;         // E8M0; kFp4 is doubled E2M1, hence 128 for 127
  uint8_t qs[16];    // n

  static constexpr uint32_t kWeights = 32;
  static constexpr CodePlace code(int i) { return nibble_place(offsetof(BlockMxfp4, qs), i, 16); }
  static constexpr BlockFields fields() {
    return {.lone_scale = {0, 1, 32}, .code = code, .levels = 16, .table = kFp4, .unit_code = kFp4UnitCode};
  }
};

struct BlockNvfp4 {  // 64 weights: y = g(d[i / 16]) kFp4[n]
  uint8_t d[4];      // unsigned E4M3 (bias 7); g halves it; codes 0 and 0x7f are 0
  uint8_t qs[32];    // sub-block s in bytes 8s..: byte j holds weight 16s + j low and 16s + 8 + j high

  static constexpr uint32_t kWeights = 64;
  static constexpr CodePlace code(int i) { return nibble_place(offsetof(BlockNvfp4, qs), i, 8); }
  static constexpr BlockFields fields() {
    return {.lone_scale = {0, 1, 16}, .code = code, .levels = 16, .table = kFp4, .unit_code = kFp4UnitCode};
  }
};

struct BlockQ1_0 {  // 128 weights: y = bit ? d : -d
  uint16_t d;       // f16
  uint8_t qs[16];   // weight i in bit i % 8 of byte i / 8

  static constexpr uint32_t kWeights = 128;
  static constexpr CodePlace code(int i) { return {field(offsetof(BlockQ1_0, qs), i, 1), {}}; }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockQ1_0, d))}, .lone_scale = {0, 2, 128}, .code = code, .levels = 2};
  }
};

struct BlockQ2_0 {  // 64 weights: y = d (code - 1)
  uint16_t d;       // f16
  uint8_t qs[16];   // weight i in bits 2 (i % 4).. of byte i / 4

  static constexpr uint32_t kWeights = 64;
  static constexpr CodePlace code(int i) { return {field(offsetof(BlockQ2_0, qs), 2 * i, 2), {}}; }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockQ2_0, d))}, .lone_scale = {0, 2, 64}, .code = code, .levels = 4};
  }
};

#pragma pack(pop)

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockIq4Nl) == 18);
static_assert(sizeof(BlockMxfp4) == 17 && sizeof(BlockNvfp4) == 36);
static_assert(sizeof(BlockQ1_0) == 18 && sizeof(BlockQ2_0) == 18);

}  // namespace snug

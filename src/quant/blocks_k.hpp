#pragma once

#include "quant/block_fields.hpp"

// Blocks of 256 weights whose codes are numbers: the K formats and the ternary ones. See blocks.hpp.
//
// Q2 plane, 64 bytes: half h uses bytes 32h..; its byte l holds weights 128h + l, +32, +64, +96 in bit pairs 0,
// 2, 4, 6.
// K4 scales, 12 bytes s for eight 6-bit (scale, min): k < 4: s[k] & 63, s[k + 4] & 63;
// k >= 4: (s[k + 4] & 15) | (s[k - 4] >> 6) << 4, (s[k + 4] >> 4) | (s[k] >> 6) << 4.

namespace snug {

constexpr int kSuperBlock = 256;  // weights in a block of the K, IQ and ternary formats (iq4_nl excepted)

#pragma pack(push, 1)

struct BlockQ2_K {  // sub-block k = i / 16: y = d (scales[k] & 15) q - dmin (scales[k] >> 4)
  uint8_t scales[16];
  uint8_t qs[64];    // Q2 plane
  uint16_t d, dmin;  // f16

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) { return {q2_plane_place(offsetof(BlockQ2_K, qs), i), {}}; }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockQ2_K, d)), scale_at(offsetof(BlockQ2_K, dmin))},
            .code = code,
            .levels = 4};
  }
};

struct BlockQ3_K {     // y = d (S[i / 16] - 32) (low - (high ? 0 : 4))
  uint8_t hmask[32];   // high bit of weight i: bit i / 32 of hmask[i % 32]
  uint8_t qs[64];      // Q2 plane, low two bits
  uint8_t scales[12];  // S[k]: low nibble k < 8 ? scales[k] & 15 : scales[k - 8] >> 4,
                       //       bits 4, 5: scales[8 + k % 4] >> 2 (k / 4) & 3
  uint16_t d;          // f16

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) {
    return {q2_plane_place(offsetof(BlockQ3_K, qs), i), field(static_cast<size_t>(i % 32), i / 32, 1)};
  }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockQ3_K, d))}, .code = code, .levels = 8};
  }
};

struct BlockQ4_K {     // sub-block k = i / 32: y = d sc[k] n - dmin mn[k]
  uint16_t d, dmin;    // f16
  uint8_t scales[12];  // K4
  uint8_t qs[128];     // byte 32p + l holds weight 64p + l low and 64p + 32 + l high

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) { return nibble_place(offsetof(BlockQ4_K, qs), i, 32); }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockQ4_K, d)), scale_at(offsetof(BlockQ4_K, dmin))},
            .code = code,
            .levels = 16};
  }
};

struct BlockQ5_K {     // y as BlockQ4_K, n has five bits
  uint16_t d, dmin;    // f16
  uint8_t scales[12];  // K4
  uint8_t qh[32];      // fifth bit of weight 32k + l: bit k of qh[l]
  uint8_t qs[128];     // as BlockQ4_K

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) {
    return {nibble_place(offsetof(BlockQ5_K, qs), i, 32).low,
            field(offsetof(BlockQ5_K, qh) + static_cast<size_t>(i % 32), i / 32, 1)};
  }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockQ5_K, d)), scale_at(offsetof(BlockQ5_K, dmin))},
            .code = code,
            .levels = 32};
  }
};

struct BlockQ6_K {  // y = d scales[i / 16] (q - 32)
  uint8_t ql[128];  // half h, l < 32: weights 128h + l, +32, +64, +96 have their low four bits in
                    // ql[64h + l] low, ql[64h + 32 + l] low, ql[64h + l] high, ql[64h + 32 + l] high
  uint8_t qh[64];   // and their high two in bit pairs 0, 2, 4, 6 of qh[32h + l]
  int8_t scales[16];
  uint16_t d;  // f16

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) {
    const int half = i / 128, quarter = i % 128 / 32, l = i % 32;
    return {field(static_cast<size_t>(64 * half + quarter % 2 * 32 + l), quarter / 2 * 4, 4),
            field(offsetof(BlockQ6_K, qh) + static_cast<size_t>(32 * half + l), 2 * quarter, 2)};
  }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockQ6_K, d))}, .code = code, .levels = 64};
  }
};

struct BlockTq1_0 {  // y = d (trit - 1)
  uint8_t qs[48];    // five trits a byte, first most significant, stored as ceil(v 256 / 243):
                     // bytes 0..31: trit n of byte m is weight 32n + m;
                     // bytes 32..47: weight 160 + 16n + m - 32
  uint8_t qh[4];     // four trits a byte (the fifth is 0): trit n of byte j is weight 240 + 4n + j
  uint16_t d;        // f16

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr BlockFields fields() {  // codes share bytes as digits do: none can be changed by itself
    return {.scales = {scale_at(offsetof(BlockTq1_0, d))}, .lone_scale = {offsetof(BlockTq1_0, d), 2, 256}};
  }
};

struct BlockTq2_0 {  // y = d (code - 1)
  uint8_t qs[64];    // Q2 plane
  uint16_t d;        // f16

  static constexpr uint32_t kWeights = kSuperBlock;
  static constexpr CodePlace code(int i) { return {q2_plane_place(offsetof(BlockTq2_0, qs), i), {}}; }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(offsetof(BlockTq2_0, d))},
            .lone_scale = {offsetof(BlockTq2_0, d), 2, 256},
            .code = code,
            .levels = 3};
  }
};

#pragma pack(pop)

static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockTq1_0) == 54 && sizeof(BlockTq2_0) == 66);

}  // namespace snug

#pragma once

// Every packed block as it lies in a GGUF tensor: little-endian, no padding, consecutive along the row.
// Packed, so that a row may start at any address. Weights are numbered in row order. f16 fields hold the bits
// of an IEEE binary16; see docs/formats.md for the formulas.

#include <cstdint>

namespace snug {

#pragma pack(push, 1)

constexpr int kSuperBlock = 256;  // weights in a block of the K, IQ and ternary formats (iq4_nl excepted)

// --- 32 weights. Nibbles: byte j holds weight j low and weight j + 16 high.
// ---------------------------------------

struct BlockQ4_0 {  // y = d (n - 8)
  uint16_t d;       // f16
  uint8_t qs[16];   // n
};
struct BlockQ4_1 {  // y = d n + m
  uint16_t d, m;    // f16
  uint8_t qs[16];   // n
};
struct BlockQ5_0 {  // y = d (n - 16)
  uint16_t d;       // f16
  uint8_t qh[4];    // bit i of the little-endian u32: fifth bit of weight i
  uint8_t qs[16];   // low four bits of n
};
struct BlockQ5_1 {        // y = d n + m
  uint16_t d, m;          // f16
  uint8_t qh[4], qs[16];  // n as in BlockQ5_0
};
struct BlockQ8_0 {  // y = d q
  uint16_t d;       // f16
  int8_t qs[32];    // q
};
struct BlockIq4Nl {  // y = d kIq4[n]
  uint16_t d;        // f16
  uint8_t qs[16];    // n
};
struct BlockMxfp4 {  // y = 2^(e - 128) kFp4[n]
  uint8_t e;         // E8M0; kFp4 is doubled E2M1, hence 128 for 127
  uint8_t qs[16];    // n
};

// --- other short blocks
// -------------------------------------------------------------------------------------------

struct BlockNvfp4 {  // 64 weights: y = g(d[i / 16]) kFp4[n]
  uint8_t d[4];      // unsigned E4M3 (bias 7); g halves it; codes 0 and 0x7f are 0
  uint8_t qs[32];    // sub-block s in bytes 8s..: byte j holds weight 16s + j low and 16s + 8 + j high
};
struct BlockQ1_0 {  // 128 weights: y = bit ? d : -d
  uint16_t d;       // f16
  uint8_t qs[16];   // weight i in bit i % 8 of byte i / 8
};
struct BlockQ2_0 {  // 64 weights: y = d (code - 1)
  uint16_t d;       // f16
  uint8_t qs[16];   // weight i in bits 2 (i % 4).. of byte i / 4
};

// --- 256 weights: K
// ---------------------------------------------------------------------------------------------- Q2 plane, 64
// bytes: half h uses bytes 32h..; its byte l holds weights 128h + l, +32, +64, +96 in bit pairs 0, 2, 4, 6.
// K4 scales, 12 bytes s for eight 6-bit (scale, min): k < 4: s[k] & 63, s[k + 4] & 63;
// k >= 4: (s[k + 4] & 15) | (s[k - 4] >> 6) << 4, (s[k + 4] >> 4) | (s[k] >> 6) << 4.

struct BlockQ2_K {  // sub-block k = i / 16: y = d (scales[k] & 15) q - dmin (scales[k] >> 4)
  uint8_t scales[16];
  uint8_t qs[64];    // Q2 plane
  uint16_t d, dmin;  // f16
};
struct BlockQ3_K {     // y = d (S[i / 16] - 32) (low - (high ? 0 : 4))
  uint8_t hmask[32];   // high bit of weight i: bit i / 32 of hmask[i % 32]
  uint8_t qs[64];      // Q2 plane, low two bits
  uint8_t scales[12];  // S[k]: low nibble k < 8 ? scales[k] & 15 : scales[k - 8] >> 4,
                       //       bits 4, 5: scales[8 + k % 4] >> 2 (k / 4) & 3
  uint16_t d;          // f16
};
struct BlockQ4_K {     // sub-block k = i / 32: y = d sc[k] n - dmin mn[k]
  uint16_t d, dmin;    // f16
  uint8_t scales[12];  // K4
  uint8_t qs[128];     // byte 32p + l holds weight 64p + l low and 64p + 32 + l high
};
struct BlockQ5_K {     // y as BlockQ4_K, n has five bits
  uint16_t d, dmin;    // f16
  uint8_t scales[12];  // K4
  uint8_t qh[32];      // fifth bit of weight 32k + l: bit k of qh[l]
  uint8_t qs[128];     // as BlockQ4_K
};
struct BlockQ6_K {  // y = d scales[i / 16] (q - 32)
  uint8_t ql[128];  // half h, l < 32: weights 128h + l, +32, +64, +96 have their low four bits in
                    // ql[64h + l] low, ql[64h + 32 + l] low, ql[64h + l] high, ql[64h + 32 + l] high
  uint8_t qh[64];   // and their high two in bit pairs 0, 2, 4, 6 of qh[32h + l]
  int8_t scales[16];
  uint16_t d;  // f16
};

// --- 256 weights: ternary
// -----------------------------------------------------------------------------------------

struct BlockTq1_0 {  // y = d (trit - 1)
  uint8_t qs[48];    // five trits a byte, first most significant, stored as ceil(v 256 / 243):
                   // bytes 0..31: trit n of byte m is weight 32n + m; bytes 32..47: weight 160 + 16n + m - 32
  uint8_t qh[4];  // four trits a byte (the fifth is 0): trit n of byte j is weight 240 + 4n + j
  uint16_t d;     // f16
};
struct BlockTq2_0 {  // y = d (code - 1)
  uint8_t qs[64];    // Q2 plane
  uint16_t d;        // f16
};

// --- 256 weights: codebooks
// --------------------------------------------------------------------------------------- A grid entry gives
// 8 (iq1, iq2) or 4 (iq3) magnitudes, see codebooks.hpp. Bit j of a sign byte set: element j negated. A 7-bit
// sign index s means the byte s | parity(s) << 7. Sub-group g: weights 8g.. ; group b: weights 32b...

struct BlockIq2Xxs {  // y = d (0.5 + s) / 4 grid sign
  uint16_t d;         // f16
  uint8_t
      qs[64];  // group b at 8b: four grid indices, then a u32: bits 7l.. sign index of sub-group l, 28.. s
};
struct BlockIq2Xs {   // y = d (0.5 + s) / 4 grid sign
  uint16_t d;         // f16
  uint16_t qs[32];    // sub-group g: grid index in bits 0..8, sign index above
  uint8_t scales[8];  // s of 16 weights: group b, first half low nibble, second half high
};
struct BlockIq2S {    // y = d (0.5 + s) / 4 grid sign
  uint16_t d;         // f16
  uint8_t qs[32];     // sub-group g: low eight bits of the index
  uint8_t signs[32];  // sub-group g: sign byte
  uint8_t qh[8];      // group b: high two bits of sub-group 4b + l in bits 2l..
  uint8_t scales[8];  // as BlockIq2Xs
};
struct BlockIq3Xxs {  // y = d (0.5 + s) / 2 grid sign
  uint16_t d;         // f16
  uint8_t qs[64];     // index of quad i / 4
  uint8_t gas[32];    // group b: u32 at 4b: bits 7l.. sign index of sub-group 4b + l, 28.. s
};
struct BlockIq3S {    // y = d (1 + 2s) grid sign
  uint16_t d;         // f16
  uint8_t qs[64];     // quad i / 4: low eight bits of the index
  uint8_t qh[8];      // group b: ninth bit of quad 8b + q in bit q
  uint8_t signs[32];  // sub-group g: sign byte
  uint8_t scales[4];  // s of group b: nibble b % 2 of scales[b / 2]
};
struct BlockIq1S {  // y = d (2s + 1) (grid + delta)
  uint16_t d;       // f16
  uint8_t qs[32];   // sub-group g: low eight bits of the index
  uint16_t qh[8];   // group b: high three bits of sub-group 4b + l in bits 3l.., s in 12..14,
                    // delta = bit 15 ? -1/8 : 1/8
};
struct BlockIq1M {  // y = d (2s + 1) (grid + delta)
  uint8_t qs[32];   // sub-group g: low eight bits of the index
  uint8_t qh[16];   // sub-group g: nibble g % 2 of qh[g / 2]: high three bits, bit 3: delta negative
  uint16_t
      scales[4];  // s of 16 weights t: scales[t / 4] >> 3 (t % 4) & 7; d (f16): nibble k is scales[k] >> 12
};
struct BlockIq4Xs {     // y = d (S - 32) kIq4[n]
  uint16_t d;           // f16
  uint16_t scales_h;    // group b: high two bits of S in bits 2b..
  uint8_t scales_l[4];  // low four in nibble b % 2 of scales_l[b / 2]
  uint8_t qs[128];      // group b at 16b, nibbles as in the 32-weight blocks
};

#pragma pack(pop)

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockIq4Nl) == 18);
static_assert(sizeof(BlockMxfp4) == 17 && sizeof(BlockNvfp4) == 36);
static_assert(sizeof(BlockQ1_0) == 18 && sizeof(BlockQ2_0) == 18);
static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockTq1_0) == 54 && sizeof(BlockTq2_0) == 66);
static_assert(sizeof(BlockIq2Xxs) == 66 && sizeof(BlockIq2Xs) == 74 && sizeof(BlockIq2S) == 82);
static_assert(sizeof(BlockIq3Xxs) == 98 && sizeof(BlockIq3S) == 110);
static_assert(sizeof(BlockIq1S) == 50 && sizeof(BlockIq1M) == 56 && sizeof(BlockIq4Xs) == 136);

/// Decoded levels of the 4-bit codes of iq4_nl and iq4_xs, and of E2M1 doubled (mxfp4, nvfp4).
constexpr float kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr float kFp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace snug

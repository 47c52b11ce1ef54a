#pragma once

#include "quant/block_fields.hpp"
#include "quant/blocks_short.hpp"

// Blocks of MLX's formats. An MLX file keeps codes, scales and biases as tensors of their own (planes); here a
// group's lie together, so that whatever works on blocks works on these. Codes are a stream of bits along the
// row: bit j of code i is bit i bits + j of the little-endian bytes.

namespace snug {

#pragma pack(push, 1)

template <int bits, int group, ScaleType type>
struct BlockAffine {                // y = scale code + bias
  uint8_t codes[group * bits / 8];
  uint16_t scale, bias;             // f16 or bf16; the scale may be negative

  static constexpr uint32_t kWeights = group, kCodeBytes = group * bits / 8;
  static constexpr int kBits = bits;
  static constexpr ScaleType kType = type;
  static constexpr PlaneType kPlaneType = type == ScaleType::f16 ? PlaneType::f16 : PlaneType::bf16;
  static constexpr Plane kPlanes[] = {{"weight", PlaneType::u32, 0, kCodeBytes},
                                      {"scales", kPlaneType, kCodeBytes, 2},
                                      {"biases", kPlaneType, kCodeBytes + 2, 2}};
  static constexpr CodePlace code(int i) { return {field(0, i * bits, bits), {}}; }
  static constexpr BlockFields fields() {
    return {.scales = {scale_at(kCodeBytes), scale_at(kCodeBytes + 2)},
            .scale_type = type,
            .code = code,
            .levels = 1 << bits};
  }
};

/// `weights` four-bit E2M1 codes and one scale in a byte.
template <int weights>
struct BlockMlxFp4 {
  uint8_t codes[weights / 2];
  uint8_t scale;

  static constexpr uint32_t kWeights = weights;
  static constexpr Plane kPlanes[] = {{"weight", PlaneType::u32, 0, weights / 2},
                                      {"scales", PlaneType::u8, weights / 2, 1}};
  static constexpr CodePlace code(int i) { return {field(0, 4 * i, 4), {}}; }
  static constexpr BlockFields fields() {
    return {.lone_scale = {weights / 2, 1, weights},
            .code = code,
            .levels = 16,
            .table = kFp4,
            .unit_code = kFp4UnitCode};
  }
};
using BlockMlxMxfp4 = BlockMlxFp4<32>;  // y = 2^(scale - 127) kFp4[code] / 2
using BlockMlxNvfp4 = BlockMlxFp4<16>;  // y = E4M3(scale) kFp4[code] / 2

/// Values of E4M3 codes: sign, four bits of exponent (bias 7), three of fraction; the largest exponent and
/// fraction are no number. No encoder gives that code.
struct E4m3Table {
  float at[256];

  constexpr E4m3Table() : at{} {
    for (int code = 0; code < 128; ++code) {
      const int exponent = code >> 3, fraction = code & 7;
      float value = static_cast<float>(exponent == 0 ? fraction : 8 + fraction) * 0x1p-9f;
      for (int e = 1; e < exponent; ++e) value *= 2;
      at[code] = code == 0x7f ? __builtin_nanf("") : value;
      at[128 + code] = -at[code];
    }
  }
};
inline constexpr E4m3Table kE4m3;

struct BlockMlxMxfp8 {  // y = 2^(scale - 127) kE4m3[code]
  uint8_t codes[32];
  uint8_t scale;

  static constexpr uint32_t kWeights = 32;
  static constexpr Plane kPlanes[] = {{"weight", PlaneType::u32, 0, 32}, {"scales", PlaneType::u8, 32, 1}};
  static constexpr CodePlace code(int i) { return {field(0, 8 * i, 8), {}}; }
  static constexpr BlockFields fields() {
    return {.lone_scale = {32, 1, 32}, .code = code, .levels = 256, .table = kE4m3.at, .unit_code = 0x38};
  }
};

#pragma pack(pop)

static_assert(sizeof(BlockAffine<3, 32, ScaleType::bf16>) == 16 && sizeof(BlockAffine<4, 64, ScaleType::f16>) == 36);
static_assert(sizeof(BlockMlxMxfp4) == 17 && sizeof(BlockMlxNvfp4) == 9 && sizeof(BlockMlxMxfp8) == 33);
static_assert(kE4m3.at[0x38] == 1 && kE4m3.at[0x7e] == 448 && kE4m3.at[0x01] == 0x1p-9f);

}  // namespace snug

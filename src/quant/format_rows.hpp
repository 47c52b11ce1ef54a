#pragma once

#include "quant/blocks.hpp"
#include "quant/blocks_mlx.hpp"
#include "snug/format.hpp"

// The table of block formats. A new one is a row here, its block, and its kernels: encoder and decoder, listed
// with their family's (kernels/all.hpp), and where fast products are wanted the codes of infer/kernels.

namespace snug {

struct FormatRow {
  FormatId id;
  std::string_view name;
  Family family;
  BlockShape shape;
  UsesImportance importance;
  uint16_t encoder_version;
  double rmse_ceiling;
  BlockFields fields;
  std::span<const Plane> planes = {};
};

template <class Block>
constexpr FormatRow row(FormatId id, std::string_view name, UsesImportance importance, uint16_t version,
                        double ceiling) {
  return {id,      name,    Family::gguf,   {Block::kWeights, sizeof(Block)}, importance,
          version, ceiling, Block::fields()};
}

template <class Block>
constexpr FormatRow mlx_row(FormatId id, std::string_view name, uint16_t version, double ceiling) {
  return {id,      name,    Family::mlx,     {Block::kWeights, sizeof(Block)}, UsesImportance::yes,
          version, ceiling, Block::fields(), Block::kPlanes};
}

/// A format of single weights.
constexpr FormatRow plain_row(FormatId id, std::string_view name, uint32_t bytes, double ceiling) {
  return {id, name, Family::gguf, {1, bytes}, UsesImportance::no, 1, ceiling, {}};
}

namespace rows {

using enum FormatId;
using enum UsesImportance;

template <int bits, int group>
using Affine = BlockAffine<bits, group, ScaleType::bf16>;
template <int bits, int group>
using AffineF16 = BlockAffine<bits, group, ScaleType::f16>;

/// Sorted by id.
// clang-format off
inline constexpr FormatRow kAll[] = {
    //               id       name       bytes, rmse ceiling
    plain_row(       f32,     "f32",     4, 1e-12),
    plain_row(       f16,     "f16",     2, 0.00023),
    //  block        id       name       importance, encoder version, rmse ceiling
    row<BlockQ4_0>(  q4_0,    "q4_0",    yes, 6, 0.085),
    row<BlockQ4_1>(  q4_1,    "q4_1",    yes, 6, 0.072),
    row<BlockQ5_0>(  q5_0,    "q5_0",    yes, 6, 0.041),
    row<BlockQ5_1>(  q5_1,    "q5_1",    yes, 6, 0.035),
    row<BlockQ8_0>(  q8_0,    "q8_0",    no,  2, 0.0057),
    row<BlockQ2_K>(  q2_K,    "q2_K",    yes, 6, 0.29),
    row<BlockQ3_K>(  q3_K,    "q3_K",    yes, 7, 0.15),
    row<BlockQ4_K>(  q4_K,    "q4_K",    yes, 6, 0.075),
    row<BlockQ5_K>(  q5_K,    "q5_K",    yes, 6, 0.038),
    row<BlockQ6_K>(  q6_K,    "q6_K",    yes, 7, 0.019),
    row<BlockIq2Xxs>(iq2_xxs, "iq2_xxs", yes, 6, 0.345),
    row<BlockIq2Xs>( iq2_xs,  "iq2_xs",  yes, 6, 0.3),
    row<BlockIq3Xxs>(iq3_xxs, "iq3_xxs", yes, 6, 0.185),
    row<BlockIq1S>(  iq1_s,   "iq1_s",   yes, 6, 0.46),
    row<BlockIq4Nl>( iq4_nl,  "iq4_nl",  yes, 6, 0.076),
    row<BlockIq3S>(  iq3_s,   "iq3_s",   yes, 6, 0.137),
    row<BlockIq2S>(  iq2_s,   "iq2_s",   yes, 6, 0.25),
    row<BlockIq4Xs>( iq4_xs,  "iq4_xs",  yes, 6, 0.077),
    row<BlockIq1M>(  iq1_m,   "iq1_m",   yes, 6, 0.43),
    plain_row(       bf16,    "bf16",    2, 0.00175),
    row<BlockTq1_0>( tq1_0,   "tq1_0",   yes, 6, 0.455),
    row<BlockTq2_0>( tq2_0,   "tq2_0",   yes, 6, 0.455),
    row<BlockMxfp4>( mxfp4,   "mxfp4",   yes, 5, 0.115),
    row<BlockNvfp4>( nvfp4,   "nvfp4",   yes, 6, 0.09),
    row<BlockQ1_0>(  q1_0,    "q1_0",    yes, 4, 0.615),
    row<BlockQ2_0>(  q2_0,    "q2_0",    yes, 6, 0.365),
    //  block              id                name                 encoder version, rmse ceiling
    mlx_row<Affine<2, 32>>(   mlx_q2_g32,       "mlx_q2_g32",       1, 0.32),
    mlx_row<Affine<2, 64>>(   mlx_q2_g64,       "mlx_q2_g64",       1, 0.35),
    mlx_row<Affine<2, 128>>(  mlx_q2_g128,      "mlx_q2_g128",      1, 0.37),
    mlx_row<Affine<3, 32>>(   mlx_q3_g32,       "mlx_q3_g32",       1, 0.16),
    mlx_row<Affine<3, 64>>(   mlx_q3_g64,       "mlx_q3_g64",       1, 0.175),
    mlx_row<Affine<3, 128>>(  mlx_q3_g128,      "mlx_q3_g128",      1, 0.185),
    mlx_row<Affine<4, 32>>(   mlx_q4_g32,       "mlx_q4_g32",       1, 0.085),
    mlx_row<Affine<4, 64>>(   mlx_q4_g64,       "mlx_q4_g64",       1, 0.09),
    mlx_row<Affine<4, 128>>(  mlx_q4_g128,      "mlx_q4_g128",      1, 0.095),
    mlx_row<Affine<5, 32>>(   mlx_q5_g32,       "mlx_q5_g32",       1, 0.05),
    mlx_row<Affine<5, 64>>(   mlx_q5_g64,       "mlx_q5_g64",       1, 0.05),
    mlx_row<Affine<5, 128>>(  mlx_q5_g128,      "mlx_q5_g128",      1, 0.05),
    mlx_row<Affine<6, 32>>(   mlx_q6_g32,       "mlx_q6_g32",       1, 0.025),
    mlx_row<Affine<6, 64>>(   mlx_q6_g64,       "mlx_q6_g64",       1, 0.025),
    mlx_row<Affine<6, 128>>(  mlx_q6_g128,      "mlx_q6_g128",      1, 0.025),
    mlx_row<Affine<8, 32>>(   mlx_q8_g32,       "mlx_q8_g32",       1, 0.01),
    mlx_row<Affine<8, 64>>(   mlx_q8_g64,       "mlx_q8_g64",       1, 0.01),
    mlx_row<Affine<8, 128>>(  mlx_q8_g128,      "mlx_q8_g128",      1, 0.01),
    mlx_row<AffineF16<2, 32>>(    mlx_q2_g32_f16,   "mlx_q2_g32_f16",   1, 0.32),
    mlx_row<AffineF16<2, 64>>(    mlx_q2_g64_f16,   "mlx_q2_g64_f16",   1, 0.35),
    mlx_row<AffineF16<2, 128>>(   mlx_q2_g128_f16,  "mlx_q2_g128_f16",  1, 0.37),
    mlx_row<AffineF16<3, 32>>(    mlx_q3_g32_f16,   "mlx_q3_g32_f16",   1, 0.16),
    mlx_row<AffineF16<3, 64>>(    mlx_q3_g64_f16,   "mlx_q3_g64_f16",   1, 0.175),
    mlx_row<AffineF16<3, 128>>(   mlx_q3_g128_f16,  "mlx_q3_g128_f16",  1, 0.185),
    mlx_row<AffineF16<4, 32>>(    mlx_q4_g32_f16,   "mlx_q4_g32_f16",   1, 0.085),
    mlx_row<AffineF16<4, 64>>(    mlx_q4_g64_f16,   "mlx_q4_g64_f16",   1, 0.09),
    mlx_row<AffineF16<4, 128>>(   mlx_q4_g128_f16,  "mlx_q4_g128_f16",  1, 0.095),
    mlx_row<AffineF16<5, 32>>(    mlx_q5_g32_f16,   "mlx_q5_g32_f16",   1, 0.05),
    mlx_row<AffineF16<5, 64>>(    mlx_q5_g64_f16,   "mlx_q5_g64_f16",   1, 0.05),
    mlx_row<AffineF16<5, 128>>(   mlx_q5_g128_f16,  "mlx_q5_g128_f16",  1, 0.05),
    mlx_row<AffineF16<6, 32>>(    mlx_q6_g32_f16,   "mlx_q6_g32_f16",   1, 0.025),
    mlx_row<AffineF16<6, 64>>(    mlx_q6_g64_f16,   "mlx_q6_g64_f16",   1, 0.025),
    mlx_row<AffineF16<6, 128>>(   mlx_q6_g128_f16,  "mlx_q6_g128_f16",  1, 0.025),
    mlx_row<AffineF16<8, 32>>(    mlx_q8_g32_f16,   "mlx_q8_g32_f16",   1, 0.01),
    mlx_row<AffineF16<8, 64>>(    mlx_q8_g64_f16,   "mlx_q8_g64_f16",   1, 0.01),
    mlx_row<AffineF16<8, 128>>(   mlx_q8_g128_f16,  "mlx_q8_g128_f16",  1, 0.01),
    mlx_row<BlockMlxMxfp4>(mlx_mxfp4,        "mlx_mxfp4",        1, 0.115),
    mlx_row<BlockMlxNvfp4>(mlx_nvfp4,        "mlx_nvfp4",        1, 0.09),
    mlx_row<BlockMlxMxfp8>(mlx_mxfp8,        "mlx_mxfp8",        1, 0.03),
};
// clang-format on

}  // namespace rows

inline constexpr std::span<const FormatRow> kFormatRows{rows::kAll};

}  // namespace snug

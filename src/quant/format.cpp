#include "snug/format.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "quant/blocks.hpp"
#include "quant/encode_row.hpp"
#include "quant/gain.hpp"
#include "quant/kernels/kernels.hpp"

namespace snug {
namespace {

struct Layout {
  FormatId id;
  std::string_view name;
  BlockShape shape;
};

/// Every tensor type of GGUF, sorted by id.
constexpr Layout kLayouts[] = {
    {FormatId::f32, "f32", {1, 4}},
    {FormatId::f16, "f16", {1, 2}},
    {FormatId::q4_0, "q4_0", {32, sizeof(BlockQ4_0)}},
    {FormatId::q4_1, "q4_1", {32, sizeof(BlockQ4_1)}},
    {FormatId::q5_0, "q5_0", {32, sizeof(BlockQ5_0)}},
    {FormatId::q5_1, "q5_1", {32, sizeof(BlockQ5_1)}},
    {FormatId::q8_0, "q8_0", {32, sizeof(BlockQ8_0)}},
    {FormatId::q2_K, "q2_K", {kSuperBlock, sizeof(BlockQ2_K)}},
    {FormatId::q3_K, "q3_K", {kSuperBlock, sizeof(BlockQ3_K)}},
    {FormatId::q4_K, "q4_K", {kSuperBlock, sizeof(BlockQ4_K)}},
    {FormatId::q5_K, "q5_K", {kSuperBlock, sizeof(BlockQ5_K)}},
    {FormatId::q6_K, "q6_K", {kSuperBlock, sizeof(BlockQ6_K)}},
    {FormatId::iq2_xxs, "iq2_xxs", {kSuperBlock, sizeof(BlockIq2Xxs)}},
    {FormatId::iq2_xs, "iq2_xs", {kSuperBlock, sizeof(BlockIq2Xs)}},
    {FormatId::iq3_xxs, "iq3_xxs", {kSuperBlock, sizeof(BlockIq3Xxs)}},
    {FormatId::iq1_s, "iq1_s", {kSuperBlock, sizeof(BlockIq1S)}},
    {FormatId::iq4_nl, "iq4_nl", {32, sizeof(BlockIq4Nl)}},
    {FormatId::iq3_s, "iq3_s", {kSuperBlock, sizeof(BlockIq3S)}},
    {FormatId::iq2_s, "iq2_s", {kSuperBlock, sizeof(BlockIq2S)}},
    {FormatId::iq4_xs, "iq4_xs", {kSuperBlock, sizeof(BlockIq4Xs)}},
    {FormatId::i8, "i8", {1, 1}},
    {FormatId::i16, "i16", {1, 2}},
    {FormatId::i32, "i32", {1, 4}},
    {FormatId::i64, "i64", {1, 8}},
    {FormatId::f64, "f64", {1, 8}},
    {FormatId::iq1_m, "iq1_m", {kSuperBlock, sizeof(BlockIq1M)}},
    {FormatId::bf16, "bf16", {1, 2}},
    {FormatId::tq1_0, "tq1_0", {kSuperBlock, sizeof(BlockTq1_0)}},
    {FormatId::tq2_0, "tq2_0", {kSuperBlock, sizeof(BlockTq2_0)}},
    {FormatId::mxfp4, "mxfp4", {32, sizeof(BlockMxfp4)}},
    {FormatId::nvfp4, "nvfp4", {64, sizeof(BlockNvfp4)}},
    {FormatId::q1_0, "q1_0", {128, sizeof(BlockQ1_0)}},
    {FormatId::q2_0, "q2_0", {64, sizeof(BlockQ2_0)}},
};
static_assert(std::ranges::is_sorted(kLayouts, {}, &Layout::id));

constexpr const Layout* find_layout(FormatId id) {
  const Layout* found = std::ranges::lower_bound(kLayouts, id, {}, &Layout::id);
  return found != std::end(kLayouts) && found->id == id ? found : nullptr;
}

template <Codec Kernels::*codec, FormatId id>
void encode(std::span<const float> row, const ColumnWeights& weights, Effort effort, std::byte* blocks) {
  encode_row(kernels().row, kernels().*codec, find_layout(id)->shape, row, weights, effort, blocks);
  if (weights.along_row > 1) restore_gain(*find_format(id), row, weights, blocks);
}

template <Codec Kernels::*codec>
void decode(const std::byte* blocks, std::span<float> row) {
  (kernels().*codec).decode(blocks, static_cast<int64_t>(row.size()), row.data());
}

template <Codec Kernels::*codec, FormatId id>
constexpr Format row(UsesImportance importance, uint16_t encoder_version, double rmse_ceiling) {
  const Layout& layout = *find_layout(id);
  return {id,          layout.name,     layout.shape.block_weights, layout.shape.block_bytes,
          importance,  encoder_version, encode<codec, id>,          decode<codec>,
          rmse_ceiling};
}

using enum UsesImportance;

/// One line a format that can be encoded and decoded, sorted by id.
// clang-format off
constexpr Format kFormats[] = {
    //  kernels            id                      importance, encoder version, rmse ceiling
    row<&Kernels::f32,     FormatId::f32>(     no,  1, 1e-12),
    row<&Kernels::f16,     FormatId::f16>(     no,  1, 0.00023),
    row<&Kernels::q4_0,    FormatId::q4_0>(    yes, 6, 0.085),
    row<&Kernels::q4_1,    FormatId::q4_1>(    yes, 6, 0.072),
    row<&Kernels::q5_0,    FormatId::q5_0>(    yes, 6, 0.041),
    row<&Kernels::q5_1,    FormatId::q5_1>(    yes, 6, 0.035),
    row<&Kernels::q8_0,    FormatId::q8_0>(    no,  2, 0.0057),
    row<&Kernels::q2_K,    FormatId::q2_K>(    yes, 6, 0.29),
    row<&Kernels::q3_K,    FormatId::q3_K>(    yes, 7, 0.15),
    row<&Kernels::q4_K,    FormatId::q4_K>(    yes, 6, 0.075),
    row<&Kernels::q5_K,    FormatId::q5_K>(    yes, 6, 0.038),
    row<&Kernels::q6_K,    FormatId::q6_K>(    yes, 7, 0.019),
    row<&Kernels::iq2_xxs, FormatId::iq2_xxs>( yes, 6, 0.345),
    row<&Kernels::iq2_xs,  FormatId::iq2_xs>(  yes, 6, 0.3),
    row<&Kernels::iq3_xxs, FormatId::iq3_xxs>( yes, 6, 0.185),
    row<&Kernels::iq1_s,   FormatId::iq1_s>(   yes, 6, 0.46),
    row<&Kernels::iq4_nl,  FormatId::iq4_nl>(  yes, 6, 0.076),
    row<&Kernels::iq3_s,   FormatId::iq3_s>(   yes, 6, 0.137),
    row<&Kernels::iq2_s,   FormatId::iq2_s>(   yes, 6, 0.25),
    row<&Kernels::iq4_xs,  FormatId::iq4_xs>(  yes, 6, 0.077),
    row<&Kernels::iq1_m,   FormatId::iq1_m>(   yes, 6, 0.43),
    row<&Kernels::bf16,    FormatId::bf16>(    no,  1, 0.00175),
    row<&Kernels::tq1_0,   FormatId::tq1_0>(   yes, 6, 0.455),
    row<&Kernels::tq2_0,   FormatId::tq2_0>(   yes, 6, 0.455),
    row<&Kernels::mxfp4,   FormatId::mxfp4>(   yes, 5, 0.115),
    row<&Kernels::nvfp4,   FormatId::nvfp4>(   yes, 6, 0.09),
    row<&Kernels::q1_0,    FormatId::q1_0>(    yes, 4, 0.615),
    row<&Kernels::q2_0,    FormatId::q2_0>(    yes, 6, 0.365),
};
// clang-format on
static_assert(std::ranges::is_sorted(kFormats, {}, &Format::id));

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

std::span<const Format> formats() {
  return kFormats;
}

const Format* find_format(FormatId id) {
  const Format* found = std::ranges::lower_bound(kFormats, id, {}, &Format::id);
  return found != std::end(kFormats) && found->id == id ? found : nullptr;
}

const Format* find_format(std::string_view name) {
  const Format* found =
      std::ranges::find_if(kFormats, [&](const Format& f) { return same_name(f.name, name); });
  return found != std::end(kFormats) ? found : nullptr;
}

BlockShape block_shape(FormatId id) {
  const Layout* layout = find_layout(id);
  return layout ? layout->shape : BlockShape{};
}

std::string_view format_name(FormatId id) {
  const Layout* layout = find_layout(id);
  return layout ? layout->name : "?";
}

}  // namespace snug

#include <gtest/gtest.h>

#include <random>
#include <span>
#include <string_view>

#include "base/str.hpp"
#include "quant/codebooks.hpp"
#include "quant/kernels/dispatch.hpp"
#include "snug/format.hpp"
#include "support/scratch.hpp"
#include "tests/quant/golden.hpp"

namespace snug {
namespace {

struct Decoder {
  FormatId id;
  Codec Kernels::*codec;
};
constexpr Decoder kDecoders[] = {
    {FormatId::f32, &Kernels::f32},         {FormatId::f16, &Kernels::f16},
    {FormatId::bf16, &Kernels::bf16},       {FormatId::q4_0, &Kernels::q4_0},
    {FormatId::q4_1, &Kernels::q4_1},       {FormatId::q5_0, &Kernels::q5_0},
    {FormatId::q5_1, &Kernels::q5_1},       {FormatId::q8_0, &Kernels::q8_0},
    {FormatId::q1_0, &Kernels::q1_0},       {FormatId::q2_0, &Kernels::q2_0},
    {FormatId::q2_K, &Kernels::q2_K},       {FormatId::q3_K, &Kernels::q3_K},
    {FormatId::q4_K, &Kernels::q4_K},       {FormatId::q5_K, &Kernels::q5_K},
    {FormatId::q6_K, &Kernels::q6_K},       {FormatId::tq1_0, &Kernels::tq1_0},
    {FormatId::tq2_0, &Kernels::tq2_0},     {FormatId::iq4_nl, &Kernels::iq4_nl},
    {FormatId::iq4_xs, &Kernels::iq4_xs},   {FormatId::mxfp4, &Kernels::mxfp4},
    {FormatId::nvfp4, &Kernels::nvfp4},     {FormatId::iq1_s, &Kernels::iq1_s},
    {FormatId::iq1_m, &Kernels::iq1_m},     {FormatId::iq2_xxs, &Kernels::iq2_xxs},
    {FormatId::iq2_xs, &Kernels::iq2_xs},   {FormatId::iq2_s, &Kernels::iq2_s},
    {FormatId::iq3_xxs, &Kernels::iq3_xxs}, {FormatId::iq3_s, &Kernels::iq3_s},
};

std::vector<float> decode(const Kernels& kernels, const Decoder& d, std::span<const std::byte> blocks) {
  const BlockShape shape = block_shape(d.id);
  std::vector<float> row(blocks.size() / shape.block_bytes * shape.block_weights);
  (kernels.*d.codec).decode(blocks.data(), static_cast<int64_t>(row.size()), row.data());
  return row;
}

int differing_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return -1;
  int count = 0;
  for (size_t i = 0; i < a.size(); ++i) count += std::memcmp(&a[i], &b[i], sizeof(float)) != 0;
  return count;
}

TEST(Decode, AgreesWithGgmlBitForBitOnEveryInstructionSet) {
  const auto golden = test::shared_folder() / "reference" / "golden";
  if (test::shared_folder().empty()) GTEST_SKIP() << "no ../shared folder: the reference decodings are there";
  for (const Kernels* kernels : runnable_kernels())
    for (const Decoder& d : kDecoders)
      for (std::string_view kind : {"rand64", "enc_plain", "enc_imatrix"}) {
        const std::string name = str(format_name(d.id), ".", kind);
        SCOPED_TRACE(str(name, " ", kernels->isa));
        const auto blocks = test::read_bytes(golden / (name + ".blk"));
        if (blocks.empty()) {  // the reference refuses some formats without importance, and f32 has no file
          EXPECT_TRUE(kind == "enc_plain" || d.id == FormatId::f32);
          continue;
        }
        EXPECT_EQ(differing_bits(decode(*kernels, d, blocks), test::read_floats(golden / (name + ".f32"))),
                  0);
      }
}

TEST(Decode, AnyBytesDecodeTheSameOnEveryInstructionSet) {
  for (unsigned seed = 0; seed < 20; ++seed)
    for (const Decoder& d : kDecoders) {
      SCOPED_TRACE(str(format_name(d.id), " seed ", seed));
      std::mt19937 random{seed};
      std::vector<std::byte> blocks(37 * block_shape(d.id).block_bytes);
      for (std::byte& b : blocks) b = static_cast<std::byte>(random());
      const auto first = decode(*runnable_kernels().front(), d, blocks);
      const auto last = decode(*runnable_kernels().back(), d, blocks);
      ASSERT_EQ(first.size(), last.size());
      for (size_t i = 0; i < first.size(); ++i)
        ASSERT_TRUE(first[i] == last[i] || (first[i] != first[i] && last[i] != last[i])) << i;
    }
}

uint32_t crc32(std::span<const uint16_t> codes) {
  uint32_t crc = ~0u;
  for (uint16_t code : codes)
    for (unsigned byte : {code & 0xffu, code >> 8 & 0xffu}) {
      crc ^= byte;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
  return ~crc;
}

TEST(Codebooks, AreTheFileFormats) {
  EXPECT_EQ(crc32(kIq2XxsCodes), 0xd01c53f2u);
  EXPECT_EQ(crc32(kIq2XsCodes), 0x622e679au);
  EXPECT_EQ(crc32(kIq2SCodes), 0xf8ad4e5eu);
  EXPECT_EQ(crc32(kIq1Codes), 0xa0911588u);
  EXPECT_EQ(crc32(kIq3XxsCodes), 0xf68a6a07u);
  EXPECT_EQ(crc32(kIq3SCodes), 0xa43c1089u);
}

}  // namespace
}  // namespace snug

#include <gtest/gtest.h>

#include <random>
#include <span>
#include <string_view>

#include "base/str.hpp"
#include "quant/codebooks/codebooks.hpp"
#include "quant/kernels/dispatch.hpp"
#include "snug/format.hpp"
#include "support/scratch.hpp"
#include "tests/quant/codecs.hpp"
#include "tests/quant/golden.hpp"

namespace snug {
namespace {

std::vector<float> decode(const Kernels& kernels, const Format& d, std::span<const std::byte> blocks) {
  std::vector<float> row(blocks.size() / d.block_bytes * d.block_weights);
  test::codec_of(kernels, d.id).decode(blocks.data(), static_cast<int64_t>(row.size()), row.data());
  return row;
}

bool same_bits(float a, float b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

int differing_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return -1;
  int count = 0;
  for (size_t i = 0; i < a.size(); ++i) count += !same_bits(a[i], b[i]);
  return count;
}

TEST(Decode, AgreesWithGgmlBitForBitOnEveryInstructionSet) {
  const auto golden = test::data_folder() / "golden";
  for (const Kernels* kernels : runnable_kernels())
    for (const Format& d : formats())
      for (std::string_view kind : {"rand64", "enc_plain", "enc_imatrix"}) {
        const std::string name = str(d.name, ".", kind);
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
    for (const Format& d : all_formats()) {
      SCOPED_TRACE(str(d.name, " seed ", seed));
      std::mt19937 random{seed};
      std::vector<std::byte> blocks(37 * d.block_bytes);
      for (std::byte& b : blocks) b = static_cast<std::byte>(random());
      const auto expected = decode(*runnable_kernels().back(), d, blocks);
      for (const Kernels* kernels : runnable_kernels()) {
        const auto row = decode(*kernels, d, blocks);
        ASSERT_EQ(row.size(), expected.size());
        for (size_t i = 0; i < row.size(); ++i)
          ASSERT_TRUE(same_bits(row[i], expected[i]) || (row[i] != row[i] && expected[i] != expected[i]))
              << kernels->isa << " weight " << i;
      }
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

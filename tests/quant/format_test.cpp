#include "snug/format.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "snug/quantize.hpp"

namespace snug {
namespace {

TEST(FormatTable, FindsEveryRowByIdAndByNameInAnyCase) {
  for (const Format& format : all_formats()) {
    EXPECT_EQ(find_format(format.id), &format);
    EXPECT_EQ(find_format(format.name), &format);
    EXPECT_EQ(format_name(format.id), format.name);
    EXPECT_EQ(block_shape(format.id).block_bytes, format.block_bytes);
    EXPECT_EQ(block_shape(format.id).block_weights, format.block_weights);
  }
  EXPECT_EQ(find_format("BF16"), find_format(FormatId::bf16));
  EXPECT_EQ(find_format("q9_9"), nullptr);
}

TEST(FormatTable, KnowsTheLayoutOfEveryGgufType) {
  EXPECT_EQ(format_name(FormatId::i32), "i32");
  EXPECT_EQ(block_shape(FormatId::i64).block_bytes, 8u);
  EXPECT_EQ(block_shape(FormatId::iq1_m).block_bytes, 56u);
  EXPECT_EQ(block_shape(static_cast<FormatId>(4)).block_weights, 0u);
  EXPECT_EQ(block_shape(static_cast<FormatId>(99)).block_weights, 0u);
  EXPECT_EQ(format_name(static_cast<FormatId>(99)), "?");
}

TEST(FormatTable, EveryEncoderStaysBelowItsCeilingOnANormalRow) {
  std::mt19937 random{7};
  std::normal_distribution<float> normal;
  std::vector<float> row(8192), back(row.size());
  for (float& x : row) x = normal(random);
  double energy = 0;
  for (float x : row) energy += static_cast<double>(x) * x;
  for (const Format& format : all_formats()) {
    SCOPED_TRACE(format.name);
    const auto cols = static_cast<int64_t>(row.size());
    std::vector<std::byte> blocks(format.row_bytes(cols));
    quantize(format, {row.data(), 1, cols}, {}, Effort::normal, blocks);
    dequantize(format, blocks, {back.data(), 1, cols});
    EXPECT_LT(std::sqrt(weighted_error(row, back, {}) / energy), format.rmse_ceiling);
  }
}

}  // namespace
}  // namespace snug

#include "quant/gain.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/str.hpp"
#include "quant/block_fields.hpp"
#include "snug/quantize.hpp"

namespace snug {
namespace {

using Row = std::vector<float>;

constexpr int64_t kCols = 512;  // two of the longest blocks

struct Case {
  Row row, mean_square, mean;
};

Case random_case(unsigned seed, bool with_means) {
  std::mt19937 random{seed};
  std::student_t_distribution<float> heavy{4};
  std::lognormal_distribution<float> lognormal{0, 1.5f};
  std::normal_distribution<float> normal;
  Case out{Row(kCols), Row(kCols), Row(with_means ? kCols : 0)};
  for (float& x : out.row) x = 0.02f * heavy(random);
  for (float& v : out.mean_square) v = lognormal(random);
  for (size_t j = 0; j < out.mean.size(); ++j)
    out.mean[j] = std::clamp(0.4f * normal(random), -0.9f, 0.9f) * std::sqrt(out.mean_square[j]);
  return out;
}

std::vector<std::byte> encode(const Format& format, const Row& row, const ColumnWeights& columns) {
  std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(kCols)));
  quantize(format, {row.data(), 1, kCols}, columns, Effort::normal, blocks);
  return blocks;
}

Row decode(const Format& format, const std::vector<std::byte>& blocks) {
  Row row(kCols);
  format.decode(blocks.data(), row);
  return row;
}

/// <w, q> / <w, w> in the metric of the variances.
double gain(const Case& c, const Row& decoded) {
  double wq = 0, ww = 0;
  for (size_t j = 0; j < c.row.size(); ++j) {
    const double m = c.mean.empty() ? 0 : c.mean[j], u = c.mean_square[j] - m * m;
    wq += u * c.row[j] * decoded[j];
    ww += u * c.row[j] * c.row[j];
  }
  return wq / ww;
}

bool has_scales(const Format& format) {
  std::vector<std::byte> none;
  return multiply_scales(format.id, none, 1.0f);
}

TEST(Gain, RowsKeepTheirLengthWhereTheErrorAlongThemCounts) {
  for (const Format& format : all_formats()) {
    if (!has_scales(format) || format.block_bytes >= format.block_weights) continue;
    for (const bool with_means : {false, true})
      for (unsigned seed = 0; seed < 8; ++seed) {
        SCOPED_TRACE(str(format.name, ", seed ", seed, with_means ? " with means" : ""));
        const Case c = random_case(seed, with_means);
        const ColumnWeights plain{c.mean_square, c.mean}, along{c.mean_square, c.mean, kAlongRow};
        const Row shrunk = decode(format, encode(format, c.row, plain));
        const Row kept = decode(format, encode(format, c.row, along));
        EXPECT_LE(weighted_error(c.row, kept, along), weighted_error(c.row, shrunk, along) * 1.001);
        if (format.bits_per_weight() < 2) continue;  // so much is lost that the least error is not at gain 1
        const bool coarse = find_block_fields(format.id)->scale_type == ScaleType::bf16;
        if (coarse && format.bits_per_weight() > 4) continue;  // such scales cannot be told apart any more
        EXPECT_LT(std::abs(gain(c, kept) - 1), 0.25 * std::abs(gain(c, shrunk) - 1) + (coarse ? 0.003 : 0.001));
      }
  }
}

TEST(Gain, LeastSquaresShrinks) {  // the reason for all this: if it fails, restore_gain is not needed
  const Case c = random_case(1, false);
  for (const char* name : {"q2_K", "iq2_xxs", "iq3_xxs"})
    EXPECT_LT(gain(c, decode(*find_format(name), encode(*find_format(name), c.row, {c.mean_square, {}}))), 0.99)
        << name;
}

TEST(Gain, ScalesOfEveryBlockAreMultiplied) {
  for (const Format& format : all_formats()) {
    if (!has_scales(format)) continue;
    SCOPED_TRACE(format.name);
    const Case c = random_case(2, false);
    std::vector<std::byte> blocks = encode(format, c.row, {});
    const Row before = decode(format, blocks);
    const std::vector<std::byte> same = blocks;
    multiply_scales(format.id, blocks, 1.0f);
    EXPECT_EQ(blocks, same);
    multiply_scales(format.id, blocks, 2.0f);
    const Row after = decode(format, blocks);
    for (size_t j = 0; j < before.size(); ++j) EXPECT_EQ(after[j], 2 * before[j]);
  }
}

TEST(Gain, AScaleBeyondF16Stays) {
  const Format& format = *find_format("q4_0");
  Row row(kCols, 60000.0f * 8);
  std::vector<std::byte> blocks = encode(format, row, {});
  multiply_scales(format.id, blocks, 1.9f);
  for (const float x : decode(format, blocks)) EXPECT_TRUE(std::isfinite(x));
}

}  // namespace
}  // namespace snug

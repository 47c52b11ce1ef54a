#include "encode/encode_floor.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/str.hpp"
#include "quant/encode_as_mlx.hpp"
#include "snug/quantize.hpp"

namespace snug {
namespace {

using Row = std::vector<float>;

constexpr int64_t kCols = 512;

Row random_row(unsigned seed) {
  std::mt19937 random{seed};
  std::student_t_distribution<float> heavy{4};
  Row row(kCols);
  for (float& x : row) x = 0.02f * heavy(random);
  return row;
}

Row random_importance(unsigned seed) {
  std::mt19937 random{seed};
  std::lognormal_distribution<float> lognormal{0, 1};
  Row importance(kCols);
  for (float& v : importance) v = lognormal(random);
  return importance;
}

Row encoded(const Format& format, const Row& row, const Row& importance, Effort effort) {
  std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(kCols)));
  quantize(format, {row.data(), 1, kCols}, {importance, {}}, effort, blocks);
  Row decoded(row.size());
  format.decode(blocks.data(), decoded);
  return decoded;
}

/// How far above the floor an encoder may be.
struct Known {
  std::string_view format;
  double normal, max;
};
constexpr Known kKnown[] = {{"q4_0", 1.01, 1.003},      {"q5_0", 1.02, 1.006},
                            {"iq4_nl", 1.01, 1.003},    {"q1_0", 1.00001, 1.00001},
                            {"q2_0", 1.001, 1.0005},    {"tq2_0", 1.001, 1.0005},
                            {"tq1_0", 1.001, 1.0005},   {"mxfp4", 1.00001, 1.00001},
                            {"nvfp4", 1.0005, 1.00001}, {"q3_K", 1.006, 1.003},
                            {"mlx_mxfp4", 1.00001, 1.00001}, {"mlx_nvfp4", 1.0005, 1.00001},
                            {"mlx_mxfp8", 1.00001, 1.00001}};

TEST(EncodeFloor, IsZeroForWhatWasDecoded) {
  for (const Known& known : kKnown) {
    SCOPED_TRACE(known.format);
    const Format& format = *find_format(known.format);
    const EncodeFloor floor{format};
    ASSERT_TRUE(floor.known());
    for (unsigned seed = 0; seed < 2; ++seed) {
      SCOPED_TRACE(str("seed ", seed));
      const Row row = encoded(format, random_row(seed), random_importance(seed), Effort::normal);
      EXPECT_EQ(floor.least_error(row, random_importance(seed + 9), Row(kCols)), 0);
    }
  }
}

TEST(EncodeFloor, IsNearlyWhatTheEncodersReach) {
  for (const Known& known : kKnown) {
    const Format& format = *find_format(known.format);
    const EncodeFloor floor{format};
    double least = 0, normal = 0, max = 0;
    for (unsigned seed = 0; seed < 2; ++seed) {
      SCOPED_TRACE(str(known.format, " seed ", seed));
      const Row row = random_row(seed), importance = seed % 2 ? random_importance(seed) : Row{};
      const Row by_normal = encoded(format, row, importance, Effort::normal),
                by_max = encoded(format, row, importance, Effort::max);
      const double here = floor.least_error(row, importance, by_normal);
      // from whatever is known: the same
      EXPECT_NEAR(here, floor.least_error(row, importance, Row(kCols)), 1e-9 * here);
      least += here;
      normal += weighted_error(row, by_normal, {importance, {}});
      max += weighted_error(row, by_max, {importance, {}});
    }
    EXPECT_LE(normal, known.normal * least) << known.format;
    EXPECT_LE(max, known.max * least) << known.format;
    EXPECT_GE(max, least * (1 - 1e-9)) << known.format;
  }
}

/// Why no search can lower it: powers of two scale an E4M3 without changing its fraction, so that an exponent changes only
/// what it clips and what it leaves below the normal numbers.
TEST(EncodeFloor, IsWhereTheStockRuleForMxfp8IsAlready) {
  const Format& format = *find_format("mlx_mxfp8");
  const EncodeFloor floor{format};
  double least = 0, stock = 0;
  for (unsigned seed = 0; seed < 8; ++seed) {
    const Row row = random_row(seed), importance = seed % 2 ? random_importance(seed) : Row{};
    std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(kCols)));
    encode_as_mlx(format, row, {MlxRule::Device::gpu, MlxRule::Exponent::ceil, FormatId::f32}, blocks.data());
    Row decoded(row.size());
    format.decode(blocks.data(), decoded);
    least += floor.least_error(row, importance, decoded);
    stock += weighted_error(row, decoded, {importance, {}});
  }
  EXPECT_LE(least, stock);
  EXPECT_GT(least, 0.9999 * stock);
}

TEST(EncodeFloor, IsUnknownWhereThereIsTooMuchToTry) {
  for (std::string_view name : {"q8_0", "q4_1", "q4_K", "iq2_xs", "f16"})
    EXPECT_FALSE(EncodeFloor{*find_format(name)}.known()) << name;
}

}  // namespace
}  // namespace snug

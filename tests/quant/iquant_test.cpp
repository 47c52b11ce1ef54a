#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/str.hpp"
#include "quant/codebooks/codebooks.hpp"
#include "quant/kernels/dispatch.hpp"
#include "snug/quantize.hpp"
#include "support/scratch.hpp"
#include "tests/quant/codecs.hpp"
#include "tests/quant/golden.hpp"

namespace snug {
namespace {

constexpr FormatId kIqFormats[] = {FormatId::iq1_s,   FormatId::iq1_m, FormatId::iq2_xxs, FormatId::iq2_xs,
                                    FormatId::iq2_s,   FormatId::iq3_xxs, FormatId::iq3_s};

using Row = std::vector<float>;

std::vector<std::byte> encode(const Format& f, const Row& row, const Row& v, Effort effort) {
  std::vector<std::byte> blocks(f.row_bytes(static_cast<int64_t>(row.size())));
  f.encode(row, {v, {}}, effort, blocks.data());
  return blocks;
}
Row round_trip(const Format& f, const Row& row, const Row& v, Effort effort) {
  Row back(row.size());
  f.decode(encode(f, row, v, effort).data(), back);
  return back;
}
double error(const Row& a, const Row& b, const Row& v) {
  return weighted_error(a, b, {v, {}});
}

Row filled(size_t cols, const std::function<double(size_t)>& value) {
  Row row(cols);
  for (size_t j = 0; j < cols; ++j) row[j] = static_cast<float>(value(j));
  return row;
}
Row normal_row(size_t cols, uint32_t seed) {
  std::mt19937 random{seed};
  std::normal_distribution<double> normal;
  return filled(cols, [&](size_t) { return normal(random); });
}
Row heavy_tailed_row(size_t cols, uint32_t seed) {
  std::mt19937 random{seed};
  std::student_t_distribution<double> student{3};
  return filled(cols, [&](size_t) { return 0.02 * student(random); });
}
Row importance_row(size_t cols, uint32_t seed) {
  std::mt19937 random{seed};
  std::normal_distribution<double> normal;
  return filled(cols, [&](size_t) { return std::exp(1.2 * normal(random)); });
}

class IqGolden : public testing::TestWithParam<FormatId> {};

TEST_P(IqGolden, ErrorIsBelowTheReferenceEncodersAndMaxIsBelowNormal) {
  const auto golden = test::data_folder() / "golden";
  const Row input = test::read_floats(golden / "input_16x512.f32");
  const Row imatrix = test::read_floats(golden / "imatrix_512.f32");
  ASSERT_EQ(imatrix.size(), 512u);
  const Row importance = filled(input.size(), [&](size_t j) { return imatrix[j % 512]; });
  const Format& f = *find_format(GetParam());
  for (const bool with_importance : {false, true}) {
    SCOPED_TRACE(with_importance ? "with importance" : "plain");
    const Row v = with_importance ? importance : Row{};
    const double normal = error(input, round_trip(f, input, v, Effort::normal), v);
    EXPECT_LT(error(input, round_trip(f, input, v, Effort::max), v), normal);
    const std::string kind = with_importance ? ".enc_imatrix.f32" : ".enc_plain.f32";
    const Row reference = test::read_floats(golden / (std::string{f.name} + kind));
    if (reference.empty()) {  // the reference encoder refuses to work without importance
      EXPECT_FALSE(with_importance);
      EXPECT_LT(normal, 1.5 * std::pow(f.rmse_ceiling, 2) * error(input, Row(input.size()), v));
    } else {
      EXPECT_LE(normal, 0.95 * error(input, reference, v));
    }
  }
}

class IqQuant : public testing::TestWithParam<FormatId> {};

constexpr size_t kCols = 512;

Row awkward(int kind) {
  Row row = normal_row(kCols, 10 + static_cast<uint32_t>(kind));
  const auto scaled = [&](float factor) { return filled(kCols, [&](size_t j) { return row[j] * factor; }); };
  switch (kind) {
    case 0:
      return Row(kCols);
    case 1:
      return Row(kCols, 0.01f);
    case 2:
      return Row(kCols, -3.0f);
    case 3:
      row[100] = 1e5f;
      return row;
    case 4:
      row[300] = -3e38f;
      return row;
    case 5:
      return scaled(5e37f);
    case 6:
      return scaled(1e-7f);
    case 7:
      return scaled(1e-41f);
    case 8:
      return filled(kCols, [&](size_t j) { return j % 3 ? 0 : row[j]; });
    case 9:
      return filled(kCols, [&](size_t j) { return j % 256 < 16 ? row[j] : 0; });
    case 10:
      return filled(kCols, [&](size_t j) { return (j / 32 % 2 ? 1e-8 : 1e8) * row[j]; });
    case 11:
      return filled(kCols, [&](size_t j) { return j == 77 ? 1 : 0; });
    case 12:
      return filled(kCols, [&](size_t j) { return j % 8 ? row[j] : -std::abs(row[j]); });
    default:
      return scaled(1e6f);
  }
}
constexpr int kAwkward = 14;

Row awkward_importance(int kind) {
  const Row v = importance_row(kCols, 20);
  switch (kind) {
    case 0:
      return {};
    case 1:
      return Row(kCols);
    case 2:
      return filled(kCols, [&](size_t j) { return j / 32 % 3 ? v[j] : 0; });
    case 3:
      return filled(kCols, [&](size_t j) { return v[j] * (j % 5 ? 1e-30 : 1e30); });
    case 4:
      return filled(kCols, [&](size_t j) { return v[j] * 1e-42; });
    case 5:
      return filled(kCols, [&](size_t j) { return v[j] * 1e36; });
    case 6:
      return filled(kCols, [&](size_t j) { return j == 5 ? 1 : 0; });
    default:
      return v;
  }
}
constexpr int kAwkwardImportance = 8;

/// What is lost of a block in which nothing of weight was seen, next to its largest weight.
double unmeasurable(const Row& row, const Row& v) {
  double x = 0, most = v.empty() ? 1 : 0;
  for (const float value : row) x = std::max<double>(x, std::abs(value));
  for (const float value : v) most = std::max<double>(most, value);
  return 1e-6 * most * x * x;
}

TEST_P(IqQuant, AwkwardRowsGiveTheSameBytesEverywhereAndAreNeverWorseThanZeros) {
  const Format& f = *find_format(GetParam());
  for (int kind = 0; kind < kAwkward; ++kind)
    for (int importance = 0; importance < kAwkwardImportance; ++importance) {
      SCOPED_TRACE(str("row ", kind, ", importance ", importance));
      const Row row = awkward(kind), v = awkward_importance(importance);
      for (const bool hard : {false, true}) {
        std::vector<std::byte> expected;
        for (const Kernels* kernels : runnable_kernels()) {
          std::vector<std::byte> blocks(f.row_bytes(kCols));
          test::codec_of(*kernels, GetParam())
              .encode({row.data(), v.empty() ? nullptr : v.data(), nullptr, kCols, hard, blocks.data()});
          if (expected.empty()) expected = blocks;
          ASSERT_EQ(blocks, expected) << kernels->isa;
        }
        Row back(kCols);
        f.decode(expected.data(), back);
        for (const float x : back) ASSERT_TRUE(std::isfinite(x));
        EXPECT_LE(error(row, back, v), 1.002 * error(row, Row(kCols), v) + unmeasurable(row, v));
      }
    }
}

TEST_P(IqQuant, ARowNeedsNoImportanceAndEqualImportanceChangesNothing) {
  const Format& f = *find_format(GetParam());
  const Row row = normal_row(1024, 5);
  EXPECT_EQ(encode(f, row, Row(1024), Effort::normal), encode(f, row, {}, Effort::normal));
  EXPECT_EQ(round_trip(f, row, Row(1024, 8.0f), Effort::normal),
            round_trip(f, row, Row(1024, 1.0f), Effort::normal));
}

TEST_P(IqQuant, UnseenColumnsAreStillEncodedSensibly) {
  const Format& f = *find_format(GetParam());
  const Row row = normal_row(256, 6);
  const Row v = filled(256, [](size_t j) { return j >= 64 && j < 128 ? 0 : 1; });
  const Row unseen = filled(256, [](size_t j) { return j >= 64 && j < 128 ? 1 : 0; });
  EXPECT_LT(error(row, round_trip(f, row, v, Effort::normal), unseen),
            1.5 * std::pow(f.rmse_ceiling, 2) * error(row, Row(256), unseen));
}

TEST_P(IqQuant, ImportanceIsHeeded) {
  const Format& f = *find_format(GetParam());
  double heeded = 0, ignored = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const Row row = heavy_tailed_row(512, seed), v = importance_row(512, seed + 100);
    heeded += error(row, round_trip(f, row, v, Effort::normal), v);
    ignored += error(row, round_trip(f, row, {}, Effort::normal), v);
  }
  EXPECT_LT(heeded, 0.9 * ignored);
}

TEST_P(IqQuant, MaxEffortIsBetterOnAverage) {
  const Format& f = *find_format(GetParam());
  double normal = 0, most = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const Row row = heavy_tailed_row(512, seed), v = importance_row(512, seed + 100);
    normal += error(row, round_trip(f, row, v, Effort::normal), v);
    most += error(row, round_trip(f, row, v, Effort::max), v);
  }
  EXPECT_LT(most, normal);
}

TEST_P(IqQuant, BlocksDependOnNothingButThemselves) {
  const Format& f = *find_format(GetParam());
  const Row row = heavy_tailed_row(1024, 1), v = importance_row(1024, 2);
  const auto whole = encode(f, row, v, Effort::normal);
  for (size_t b = 0; b < 4; ++b) {
    const Row part(row.begin() + 256 * b, row.begin() + 256 * (b + 1));
    const Row part_v(v.begin() + 256 * b, v.begin() + 256 * (b + 1));
    const auto bytes = encode(f, part, part_v, Effort::normal);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), whole.begin() + b * f.block_bytes));
  }
}

/// What decoding allows for eight weights at scale 1: every point with every legal choice of signs or shift.
std::vector<Row> legal_points(FormatId id) {
  std::vector<Row> points;
  const auto signs = [&](const Row& p, bool parity) {
    for (int s = 0; s < 256; ++s) {
      if (parity && __builtin_popcount(s) % 2) continue;
      points.push_back(filled(8, [&](size_t j) { return s >> j & 1 ? -p[j] : p[j]; }));
    }
  };
  const auto all = [&](const auto& grid, bool parity) {
    for (const auto& entry : grid.at) signs(Row(std::begin(entry), std::end(entry)), parity);
  };
  if (id == FormatId::iq2_xxs) all(kIq2XxsGrid, true);
  if (id == FormatId::iq2_xs) all(kIq2XsGrid, true);
  if (id == FormatId::iq2_s) all(kIq2SGrid, false);
  return points;
}

/// The plain way: the super-scale from the largest weight, sub-scales from the largest of each sub-block,
/// every group the best of all legal points. iq2 only.
double naive_error(FormatId id, const Row& row, const Row& v) {
  const auto points = legal_points(id);
  const size_t sub = id == FormatId::iq2_xxs ? 32 : 16;
  float largest = 0;
  for (const float x : row) largest = std::max(largest, std::abs(x));
  const float d = largest / 43 * 8 / 31;
  double sum = 0;
  for (size_t j = 0; j < 256; j += 8) {
    float here = 0;
    for (size_t k = j / sub * sub; k < (j / sub + 1) * sub; ++k) here = std::max(here, std::abs(row[k]));
    const float s = std::clamp(std::round((here / 43 * 8 / d - 1) / 2), 0.0f, 15.0f), t = d * (2 * s + 1) / 8;
    double least = std::numeric_limits<double>::max();
    for (const Row& p : points) {
      double e = 0;
      for (size_t k = 0; k < 8; ++k) e += v[j + k] * std::pow(static_cast<double>(t) * p[k] - row[j + k], 2);
      least = std::min(least, e);
    }
    sum += least;
  }
  return sum;
}

TEST(IqQuantProperty, NeverWorseThanScalesFromTheLargestWeightAndTheBestOfAllPoints) {
  for (const FormatId id : {FormatId::iq2_xxs, FormatId::iq2_xs})
    for (uint32_t seed = 0; seed < 4; ++seed) {
      SCOPED_TRACE(str(format_name(id), ", seed ", seed));
      const Row row = seed % 2 ? heavy_tailed_row(256, seed) : normal_row(256, seed);
      const Row v = importance_row(256, seed + 50);
      EXPECT_LT(error(row, round_trip(*find_format(id), row, v, Effort::normal), v), naive_error(id, row, v));
    }
}

std::string name_of(const testing::TestParamInfo<FormatId>& info) {
  return std::string{format_name(info.param)};
}
INSTANTIATE_TEST_SUITE_P(Formats, IqGolden, testing::ValuesIn(kIqFormats), name_of);
INSTANTIATE_TEST_SUITE_P(Formats, IqQuant, testing::ValuesIn(kIqFormats), name_of);

}  // namespace
}  // namespace snug

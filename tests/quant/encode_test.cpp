#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <random>
#include <string_view>

#include "base/str.hpp"
#include "quant/kernels/dispatch.hpp"
#include "snug/error.hpp"
#include "snug/quantize.hpp"
#include "support/scratch.hpp"
#include "tests/quant/codecs.hpp"
#include "tests/quant/golden.hpp"

namespace snug {
namespace {

using Row = std::vector<float>;

constexpr int64_t kCols = 512;  // two of the longest blocks

std::vector<std::byte> encode(const Format& format, const Row& row, const Row& importance, Effort effort) {
  const auto cols = static_cast<int64_t>(row.size());
  std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(cols)));
  quantize(format, {row.data(), 1, cols}, {importance, {}}, effort, blocks);
  return blocks;
}

Row decode(const Format& format, const std::vector<std::byte>& blocks, size_t cols) {
  Row row(cols);
  format.decode(blocks.data(), row);
  return row;
}

double error_of(const Format& format, const Row& row, const Row& importance, Effort effort) {
  const Row back = decode(format, encode(format, row, importance, effort), row.size());
  return weighted_error(row, back, {importance, {}});
}

Row random_row(unsigned seed, float scale = 0.02f) {
  std::mt19937 random{seed};
  std::student_t_distribution<float> heavy{4};
  Row row(kCols);
  for (float& x : row) x = scale * heavy(random);
  return row;
}

Row random_importance(unsigned seed) {
  std::mt19937 random{seed};
  std::lognormal_distribution<float> lognormal{0, 1.5f};
  Row importance(kCols);
  for (float& v : importance) v = lognormal(random);
  return importance;
}

TEST(Encode, GoldenErrorsAreAtMostTheReferenceEncoders) {
  const auto golden = test::data_folder() / "golden";
  const Row input = test::read_floats(golden / "input_16x512.f32");
  const Row importance = test::read_floats(golden / "imatrix_512.f32");
  ASSERT_EQ(input.size(), 16u * kCols);
  ASSERT_EQ(importance.size(), static_cast<size_t>(kCols));
  for (const Format& format : all_formats())
    for (std::string_view kind : {"enc_plain", "enc_imatrix"}) {
      SCOPED_TRACE(str(format.name, " ", kind));
      const Row theirs = test::read_floats(golden / str(format.name, ".", kind, ".f32"));
      if (theirs.empty()) continue;  // decode_test says which may be missing
      const Row weights = kind == "enc_imatrix" ? importance : Row{};
      double reference = 0, normal = 0, max = 0;
      for (size_t at = 0; at < input.size(); at += kCols) {
        const Row row(input.begin() + at, input.begin() + at + kCols);
        reference += weighted_error(row, {theirs.data() + at, kCols}, {weights, {}});
        normal += error_of(format, row, weights, Effort::normal);
        max += error_of(format, row, weights, Effort::max);
      }
      EXPECT_LE(normal, reference);
      EXPECT_LE(max, normal);
    }
}

TEST(Encode, MoreEffortIsNeverWorse) {
  for (unsigned seed = 0; seed < 30; ++seed)
    for (const Format& format : all_formats()) {
      SCOPED_TRACE(str(format.name, " seed ", seed));
      const Row row = random_row(seed);
      const Row importance = seed % 3 ? random_importance(seed) : Row{};
      const double normal = error_of(format, row, importance, Effort::normal);
      EXPECT_LE(error_of(format, row, importance, Effort::max), normal * (1 + 1e-6));
    }
}

struct AwkwardRow {
  std::string name;
  Row row;
};

std::vector<AwkwardRow> awkward_rows() {
  std::vector<AwkwardRow> rows;
  const auto add = [&](const std::string& name, auto value) {
    Row row(kCols);
    for (size_t j = 0; j < row.size(); ++j) row[j] = static_cast<float>(value(j));
    rows.push_back({name, row});
  };
  add("zeros", [](size_t) { return 0.0f; });
  add("negative zeros", [](size_t) { return -0.0f; });
  add("constant", [](size_t) { return 0.01f; });
  add("negative constant", [](size_t) { return -3.7f; });
  add("subnormal", [](size_t j) { return static_cast<float>(j) * FLT_TRUE_MIN; });
  add("smallest", [](size_t j) { return j % 2 ? FLT_TRUE_MIN : -FLT_TRUE_MIN; });
  add("below half precision", [](size_t j) { return 1e-9f * (static_cast<float>(j % 13) - 6); });
  add("half subnormal", [](size_t j) { return 1e-6f * (static_cast<float>(j % 13) - 6); });
  add("largest", [](size_t j) { return j % 2 ? FLT_MAX : -FLT_MAX; });
  add("all largest", [](size_t) { return FLT_MAX; });
  add("beyond half precision", [](size_t j) { return 1e8f * (static_cast<float>(j % 17) - 8); });
  add("one huge", [](size_t j) { return j == 77 ? 1e30f : 0.01f * (static_cast<float>(j % 9) - 4); });
  add("one large", [](size_t j) { return j == 300 ? -50.0f : 0.01f * (static_cast<float>(j % 9) - 4); });
  add("one alone", [](size_t j) { return j == 200 ? 0.5f : 0.0f; });
  add("far from zero", [](size_t j) { return 100 + 0.001f * static_cast<float>(j % 31); });
  add("all sizes",
      [](size_t j) { return std::ldexp(j % 2 ? 1.0f : -1.0f, static_cast<int>(j % 250) - 125); });
  return rows;
}

std::vector<AwkwardRow> awkward_importances() {
  std::vector<AwkwardRow> rows{{"none", {}}};
  const auto add = [&](const std::string& name, auto value) {
    Row row(kCols);
    for (size_t j = 0; j < row.size(); ++j) row[j] = value(j);
    rows.push_back({name, row});
  };
  add("zero", [](size_t) { return 0.0f; });
  add("zero in one block", [](size_t j) { return j < 256 ? 0.0f : 1.0f; });
  add("zero in every second column", [](size_t j) { return j % 2 ? 1.0f : 0.0f; });
  add("huge", [](size_t) { return FLT_MAX; });
  add("tiny", [](size_t) { return FLT_TRUE_MIN; });
  add("far apart", [](size_t j) { return j % 5 ? 1e-30f : 1e30f; });
  return rows;
}

TEST(Encode, AwkwardRowsGiveFiniteWeightsNoWorseThanZeros) {
  for (const Format& format : all_formats())
    for (const AwkwardRow& row : awkward_rows())
      for (const AwkwardRow& importance : awkward_importances())
        for (Effort effort : {Effort::normal, Effort::max}) {
          SCOPED_TRACE(str(format.name, ", row: ", row.name, ", importance: ", importance.name, ", effort ",
                           static_cast<int>(effort)));
          const Row back = decode(format, encode(format, row.row, importance.row, effort), kCols);
          for (float x : back) ASSERT_TRUE(std::isfinite(x));
          const double zeros = weighted_error(row.row, Row(kCols), {importance.row, {}});
          EXPECT_LE(weighted_error(row.row, back, {importance.row, {}}), zeros * (1 + 1e-5));
        }
}

TEST(Encode, ARowOfOneBlockIsEncodedAsTheFirstBlockOfALongOne) {
  std::vector<AwkwardRow> rows = awkward_rows();
  rows.push_back({"random", random_row(21)});
  for (const Format& format : all_formats())
    for (const AwkwardRow& row : rows)
      for (const AwkwardRow& importance : awkward_importances())
        for (Effort effort : {Effort::normal, Effort::max}) {
          SCOPED_TRACE(str(format.name, ", row: ", row.name, ", importance: ", importance.name));
          const auto first = [&](const Row& r) {
            return Row(r.begin(), r.begin() + std::min<std::ptrdiff_t>(std::ssize(r), format.block_weights));
          };
          const auto whole = encode(format, row.row, importance.row, effort);
          const auto block = encode(format, first(row.row), first(importance.row), effort);
          ASSERT_EQ(block.size(), static_cast<size_t>(format.block_bytes));
          EXPECT_EQ(block, std::vector<std::byte>(whole.begin(), whole.begin() + format.block_bytes));
        }
}

TEST(Encode, SameBytesOnEveryInstructionSet) {
  std::vector<AwkwardRow> rows = awkward_rows();
  for (unsigned seed = 0; seed < 8; ++seed) rows.push_back({str("seed ", seed), random_row(seed)});
  const Row importance = random_importance(99);
  for (const Format& format : all_formats()) {
    for (const AwkwardRow& row : rows)
      for (const float* weights : {static_cast<const float*>(nullptr), importance.data()})
        for (bool hard : {false, true}) {
          SCOPED_TRACE(str(format.name, ", row: ", row.name, weights ? ", weighted" : "",
                           hard ? ", hard" : ""));
          const auto bytes_of = [&](const Kernels& kernels) {
            std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(kCols)));
            test::codec_of(kernels, format.id).encode({row.row.data(), weights, nullptr, kCols, hard, blocks.data()});
            return blocks;
          };
          const auto expected = bytes_of(*runnable_kernels().back());
          for (const Kernels* kernels : runnable_kernels())
            EXPECT_EQ(bytes_of(*kernels), expected) << kernels->isa;
        }
  }
}

TEST(Recode, NeverLosesAndLeavesTheOtherWeightsAlone) {
  const Row row = random_row(7), importance = random_importance(8);
  Row shifted = row;
  for (size_t j = 0; j < shifted.size(); ++j) shifted[j] += j % 3 ? 0.004f : -0.002f;
  for (const Format& format : all_formats()) {
    const Codec& codec = test::codec_of(kernels(), format.id);
    if (!codec.recode) continue;
    SCOPED_TRACE(format.name);
    auto blocks = encode(format, row, importance, Effort::normal);
    const Row before = decode(format, blocks, kCols);
    codec.recode({shifted.data(), importance.data(), 64, 192, blocks.data()});
    const Row after = decode(format, blocks, kCols);
    const auto part = [&](const Row& r) { return std::span{r}.subspan(64, 128); };
    const ColumnWeights columns{part(importance), {}};
    EXPECT_LT(weighted_error(part(shifted), part(after), columns),
              weighted_error(part(shifted), part(before), columns));
    for (size_t j = 256; j < kCols; ++j) EXPECT_EQ(after[j], before[j]);
    for (size_t j = 0; j < 64 && format.name.starts_with("iq"); ++j) EXPECT_EQ(after[j], before[j]);
  }
}

TEST(Recode, SameBytesOnEveryInstructionSet) {
  const Row importance = random_importance(5);
  for (const AwkwardRow& row : awkward_rows())
    for (const Format& format : all_formats()) {
      if (!test::codec_of(kernels(), format.id).recode) continue;
      SCOPED_TRACE(str(format.name, ", row: ", row.name));
      const Row other = random_row(3);
      std::vector<std::byte> expected;
      for (const Kernels* isa : runnable_kernels()) {
        auto blocks = encode(format, row.row, importance, Effort::normal);
        test::codec_of(*isa, format.id).recode({other.data(), importance.data(), 0, 256, blocks.data()});
        if (expected.empty()) expected = blocks;
        EXPECT_EQ(blocks, expected) << isa->isa;
        for (float x : decode(format, blocks, kCols)) ASSERT_TRUE(std::isfinite(x));
      }
    }
}

// --- column means
// -------------------------------------------------------------------------------------------------

struct Moments {
  Row mean_square, mean;
};

/// Means that make up about a tenth of the mean squares.
Moments random_moments(unsigned seed) {
  std::mt19937 random{seed};
  std::normal_distribution<float> normal;
  Moments out{random_importance(seed), Row(kCols)};
  for (size_t j = 0; j < out.mean.size(); ++j) {
    const float share = std::abs(normal(random)) * 0.4f;
    out.mean[j] =
        (normal(random) > -0.5f ? 1.0f : -1.0f) * std::min(share, 0.99f) * std::sqrt(out.mean_square[j]);
  }
  return out;
}

double error_with_means(const Format& format, const Row& row, const Moments& m, bool told, Effort effort) {
  std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(kCols)));
  quantize(format, {row.data(), 1, kCols}, {m.mean_square, told ? m.mean : Row{}}, effort, blocks);
  return weighted_error(row, decode(format, blocks, kCols), {m.mean_square, m.mean});
}

TEST(EncodeWithMeans, IsBetterByNearlyTheMeansShareAndMaxIsNeverWorse) {
  for (const Format& format : all_formats()) {
    if (format.block_bytes >= format.block_weights) continue;
    SCOPED_TRACE(format.name);
    double told = 0, untold = 0;
    for (unsigned seed = 0; seed < 16; ++seed) {
      SCOPED_TRACE(str("seed ", seed));
      const Row row = random_row(seed);
      const Moments moments = random_moments(seed + 100);
      const double normal = error_with_means(format, row, moments, true, Effort::normal);
      EXPECT_LE(error_with_means(format, row, moments, true, Effort::max), normal * (1 + 1e-6));
      told += normal;
      untold += error_with_means(format, row, moments, false, Effort::normal);
    }
    EXPECT_LT(told, 0.95 * untold);
  }
}

TEST(EncodeWithMeans, ZeroMeansChangeNothing) {
  const Row row = random_row(3), importance = random_importance(4), zeros(kCols);
  for (const Format& format : all_formats()) {
    SCOPED_TRACE(format.name);
    std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(kCols)));
    quantize(format, {row.data(), 1, kCols}, {importance, zeros}, Effort::normal, blocks);
    EXPECT_EQ(blocks, encode(format, row, importance, Effort::normal));
  }
}

TEST(EncodeWithMeans, AwkwardRowsStayFinite) {
  for (const Format& format : all_formats())
    for (const AwkwardRow& row : awkward_rows())
      for (const AwkwardRow& weights : awkward_importances()) {
        if (weights.row.empty()) continue;
        SCOPED_TRACE(str(format.name, ", row: ", row.name, ", importance: ", weights.name));
        Row mean = weights.row;  // far beyond what moments can be
        std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(kCols)));
        quantize(format, {row.row.data(), 1, kCols}, {weights.row, mean}, Effort::normal, blocks);
        for (float x : decode(format, blocks, kCols)) ASSERT_TRUE(std::isfinite(x));
      }
}

TEST(EncodeAlongTheRow, AwkwardRowsStayFinite) {
  for (const Format& format : all_formats())
    for (const AwkwardRow& row : awkward_rows())
      for (const AwkwardRow& weights : awkward_importances()) {
        SCOPED_TRACE(str(format.name, ", row: ", row.name, ", importance: ", weights.name));
        std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(kCols)));
        quantize(format, {row.row.data(), 1, kCols}, {weights.row, {}, kAlongRow}, Effort::normal, blocks);
        for (float x : decode(format, blocks, kCols)) ASSERT_TRUE(std::isfinite(x));
      }
}

TEST(Quantize, NamesRowAndColumnOfAWeightThatIsNoNumber) {
  for (const Format& format : all_formats())
    for (float bad : {NAN, -NAN, INFINITY, -INFINITY})
      for (size_t column : {size_t{0}, size_t{17}, size_t{kCols - 1}}) {
        SCOPED_TRACE(str(format.name, ": ", bad, " in column ", column));
        Row weights(3 * kCols, 0.5f);
        weights[2 * kCols + column] = bad;
        std::vector<std::byte> blocks(static_cast<size_t>(3 * format.row_bytes(kCols)));
        try {
          quantize(format, {weights.data(), 3, kCols}, {}, Effort::normal, blocks);
          ADD_FAILURE() << "taken";
        } catch (const Error& error) {
          EXPECT_EQ(error.where(), str("row 2, column ", column));
        }
      }
}

TEST(Quantize, LooksAtEveryWeightOfShortRows) {
  const Format& format = *find_format("f16");
  for (const Kernels* isa : runnable_kernels())
    for (size_t cols = 1; cols <= 40; ++cols)
      for (size_t at = 0; at < cols; ++at) {
        SCOPED_TRACE(str(isa->isa, ": ", cols, " weights, the bad one at ", at));
        Row row(cols, FLT_MAX);
        EXPECT_TRUE(isa->row.finite(row.data(), static_cast<int64_t>(cols)));
        row[at] = at % 2 ? NAN : -INFINITY;
        EXPECT_FALSE(isa->row.finite(row.data(), static_cast<int64_t>(cols)));
        EXPECT_THROW(encode(format, row, {}, Effort::normal), Error);
      }
}

TEST(Quantize, RefusesWhatDoesNotFit) {
  const Format& format = *find_format("q8_0");
  const Row weights(128, 1.0f);
  std::vector<std::byte> blocks(4 * 34);
  const auto attempt = [&](int64_t rows, int64_t cols, const ColumnWeights& columns) {
    quantize(format, {weights.data(), rows, cols}, columns, Effort::normal, blocks);
  };
  attempt(1, 128, {});
  EXPECT_THROW(attempt(1, 100, {}), Error);
  EXPECT_THROW(attempt(1, 0, {}), Error);
  EXPECT_THROW(attempt(-1, 128, {}), Error);
  EXPECT_THROW(attempt(2, 128, {}), Error);
  EXPECT_THROW(attempt(INT64_MAX / 32, 128, {}), Error);
  const Row short_row(64, 1.0f), negative(128, -1.0f), not_a_number(128, NAN);
  EXPECT_THROW(attempt(1, 128, {short_row, {}}), Error);
  EXPECT_THROW(attempt(1, 128, {negative, {}}), Error);
  EXPECT_THROW(attempt(1, 128, {not_a_number, {}}), Error);
  EXPECT_THROW(attempt(1, 128, {{}, not_a_number}), Error);
}

TEST(WeightedError, IsTheQuadraticFormOfTheColumnMoments) {
  const Row original{1, 2, 3}, decoded{1.5f, 1, 3.25f}, mean_square{2, 3, 5}, mean{1, -1, 2};
  // d = 0.5, -1, 0.25: (2-1).25 + (3-1)1 + (5-4).0625 + (0.5 + 1 + 0.5)^2
  EXPECT_DOUBLE_EQ(weighted_error(original, decoded, {mean_square, mean}), 0.25 + 2 + 0.0625 + 4);
  EXPECT_DOUBLE_EQ(weighted_error(original, decoded, {mean_square, {}}), 0.5 + 3 + 0.3125);
  EXPECT_DOUBLE_EQ(weighted_error(original, decoded, {}), 0.25 + 1 + 0.0625);
  // along the row: 1(.5) - 2(1) + 3(.25) = -0.75 of 1 + 4 + 9, three times more
  EXPECT_DOUBLE_EQ(weighted_error(original, decoded, {{}, {}, 4}), 1.3125 + 3 * 0.75 * 0.75 / 14);
}

TEST(Encode, PlainFormatsTakeRowsOfAnyLength) {
  for (std::string_view name : {"f16", "bf16", "f32"})
    for (int64_t cols : {1, 7, 8, 9, 31}) {
      SCOPED_TRACE(str(name, " ", cols));
      const Format& format = *find_format(name);
      Row row(static_cast<size_t>(cols));
      for (size_t j = 0; j < row.size(); ++j) row[j] = static_cast<float>(j) - 3.5f;
      EXPECT_EQ(decode(format, encode(format, row, {}, Effort::normal), row.size()), row);
    }
}

}  // namespace
}  // namespace snug

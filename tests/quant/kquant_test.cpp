#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/str.hpp"
#include "quant/kernels/dispatch.hpp"
#include "snug/quantize.hpp"
#include "support/scratch.hpp"
#include "tests/quant/codecs.hpp"
#include "tests/quant/golden.hpp"

namespace snug {
namespace {

constexpr FormatId kKFormats[] = {FormatId::q2_K, FormatId::q3_K, FormatId::q4_K, FormatId::q5_K,
                                   FormatId::q6_K};
constexpr Effort kEfforts[] = {Effort::normal, Effort::max};

using Row = std::vector<float>;

std::vector<std::byte> encode(const Format& f, std::span<const float> row, std::span<const float> v,
                              Effort effort) {
  std::vector<std::byte> blocks(f.row_bytes(static_cast<int64_t>(row.size())));
  f.encode(row, {v, {}}, effort, blocks.data());
  return blocks;
}
Row decode(const Format& f, std::span<const std::byte> blocks) {
  Row row(blocks.size() / f.block_bytes * f.block_weights);
  f.decode(blocks.data(), row);
  return row;
}
Row round_trip(const Format& f, const Row& row, const Row& v, Effort effort) {
  return decode(f, encode(f, row, v, effort));
}
double error(const Row& a, const Row& b, const Row& v) {
  return weighted_error(a, b, {v, {}});
}
double energy(const Row& a, const Row& v) {
  return weighted_error(a, Row(a.size()), {v, {}});
}

Row filled(size_t cols, const std::function<double(size_t)>& value) {
  Row row(cols);
  for (size_t j = 0; j < cols; ++j) row[j] = static_cast<float>(value(j));
  return row;
}
Row normal_row(size_t cols, uint32_t seed, double scale = 1) {
  std::mt19937 random{seed};
  std::normal_distribution<double> normal;
  return filled(cols, [&](size_t) { return scale * normal(random); });
}
Row positive_row(size_t cols, uint32_t seed) {
  std::mt19937 random{seed};
  std::normal_distribution<double> normal;
  return filled(cols, [&](size_t) { return std::exp(1.5 * normal(random)); });
}

class KQuantGolden : public testing::TestWithParam<FormatId> {
 protected:
  void SetUp() override {
    const auto golden = test::data_folder() / "golden";
    input_ = test::read_floats(golden / "input_16x512.f32");
    const Row imatrix = test::read_floats(golden / "imatrix_512.f32");
    ASSERT_EQ(imatrix.size(), 512u);
    for (size_t j = 0; j < input_.size(); ++j) importance_.push_back(imatrix[j % 512]);
    const std::string name{format_name(GetParam())};
    plain_ = test::read_floats(golden / (name + ".enc_plain.f32"));
    weighted_ = test::read_floats(golden / (name + ".enc_imatrix.f32"));
    ASSERT_EQ(plain_.size(), input_.size());
    ASSERT_EQ(weighted_.size(), input_.size());
  }
  Row input_, importance_, plain_, weighted_;
};

TEST_P(KQuantGolden, ErrorIsBelowTheReferenceEncodersAndMaxIsBelowNormal) {
  const Format& f = *find_format(GetParam());
  const bool few_bits = f.id == FormatId::q2_K || f.id == FormatId::q3_K;
  for (const bool with_importance : {false, true}) {
    SCOPED_TRACE(with_importance ? "with importance" : "plain");
    const Row v = with_importance ? importance_ : Row{};
    const double reference = error(input_, with_importance ? weighted_ : plain_, v);
    const double normal = error(input_, round_trip(f, input_, v, Effort::normal), v);
    EXPECT_LE(normal, (few_bits ? 0.97 : 1.0) * reference);
    EXPECT_LT(error(input_, round_trip(f, input_, v, Effort::max), v), normal);
  }
}

class KQuant : public testing::TestWithParam<FormatId> {};

Row awkward(int kind, uint32_t seed) {
  constexpr size_t kCols = 512;
  Row row = normal_row(kCols, seed);
  switch (kind) {
    case 0:
      return Row(kCols);
    case 1:
      return Row(kCols, 0.01f);
    case 2:
      return Row(kCols, -3.0f);
    case 3:
      for (float& x : row) x = std::abs(x) + 5;
      return row;
    case 4:
      for (float& x : row) x = -std::abs(x) - 5;
      return row;
    case 5:
      row[100] = 1e4f;
      return row;
    case 6:
      row[300] = -3e38f;
      return row;
    case 7:
      for (float& x : row) x *= 1e38f;
      return row;
    case 8:
      for (float& x : row) x *= 1e-6f;
      return row;
    case 9:
      for (float& x : row) x *= 1e-41f;
      return row;
    case 10:
      for (size_t j = 0; j < kCols; ++j) row[j] = j % 3 ? 0 : row[j];
      return row;
    case 11:
      for (size_t j = 16; j < kCols; ++j) row[j] = j % 256 < 16 ? row[j] : 0;
      return row;
    case 12:
      for (size_t j = 0; j < kCols; ++j) row[j] = (j / 32 % 2 ? 1e-8f : 1e8f) * row[j];
      return row;
    case 13:
      row.assign(kCols, 0), row[77] = 1;
      return row;
    default:
      return row;
  }
}
constexpr int kAwkward = 15;

Row awkward_importance(int kind, uint32_t seed) {
  Row v = positive_row(512, seed);
  switch (kind) {
    case 0:
      return {};
    case 1:
      return Row(v.size());
    case 2:
      for (size_t j = 0; j < v.size(); ++j) v[j] = j / 32 % 3 ? v[j] : 0;
      return v;
    case 3:
      for (size_t j = 0; j < v.size(); ++j) v[j] *= j % 5 ? 1e-30f : 1e30f;
      return v;
    case 4:
      for (float& w : v) w *= 1e-42f;
      return v;
    case 5:
      for (float& w : v) w *= 1e36f;
      return v;
    default:
      return v;
  }
}
constexpr int kAwkwardImportance = 7;

TEST_P(KQuant, SameBytesOnEveryInstructionSet) {
  for (int kind = 0; kind < kAwkward; ++kind)
    for (int importance = 0; importance < kAwkwardImportance; ++importance)
      for (const Effort effort : kEfforts) {
        SCOPED_TRACE(str("row ", kind, ", importance ", importance, effort == Effort::max ? ", max" : ""));
        const Row row = awkward(kind, 10 + kind), v = awkward_importance(importance, 20 + importance);
        const auto bytes_of = [&](const Kernels& kernels) {
          std::vector<std::byte> out(2 * block_shape(GetParam()).block_bytes);
          test::codec_of(kernels, GetParam())
              .encode({row.data(), v.empty() ? nullptr : v.data(), nullptr, 512, effort == Effort::max,
                       out.data()});
          return out;
        };
        const auto expected = bytes_of(*runnable_kernels().back());
        for (const Kernels* kernels : runnable_kernels())
          ASSERT_EQ(bytes_of(*kernels), expected) << kernels->isa;
      }
}

TEST_P(KQuant, AwkwardRowsStayFiniteAndAreNeverWorseThanZeros) {
  const Format& f = *find_format(GetParam());
  for (int kind = 0; kind < kAwkward; ++kind)
    for (int importance = 0; importance < kAwkwardImportance; ++importance) {
      SCOPED_TRACE(str("row ", kind, ", importance ", importance));
      const Row row = awkward(kind, 10 + kind), v = awkward_importance(importance, 20 + importance);
      const Row back = round_trip(f, row, v, Effort::normal);
      for (const float x : back) ASSERT_TRUE(std::isfinite(x));
      EXPECT_LE(error(row, back, v), energy(row, v));
    }
}

TEST_P(KQuant, ConstantAndOneSidedRowsKeepTheirPrecision) {
  const Format& f = *find_format(GetParam());
  const double noise = f.rmse_ceiling * f.rmse_ceiling;  // of a row with variance 1
  for (const float c : {0.01f, -3.0f, 700.0f}) {
    const Row row(256, c);
    EXPECT_LT(error(row, round_trip(f, row, {}, Effort::normal), {}), 1e-6 * energy(row, {})) << c;
  }
  if (f.id == FormatId::q3_K || f.id == FormatId::q6_K) return;  // no minima
  for (const float sign : {1.0f, -1.0f}) {
    Row row = awkward(3, 1);
    for (float& x : row) x *= sign;
    EXPECT_LT(error(row, round_trip(f, row, {}, Effort::normal), {}), noise * 512) << sign;
  }
}

TEST_P(KQuant, AllZeroImportanceMeansUniform) {
  const Format& f = *find_format(GetParam());
  const Row row = normal_row(1024, 5);
  EXPECT_EQ(encode(f, row, Row(1024), Effort::normal), encode(f, row, {}, Effort::normal));
  EXPECT_EQ(encode(f, row, Row(1024, 0.125f), Effort::normal), encode(f, row, {}, Effort::normal));
}

TEST_P(KQuant, UnseenColumnsAreStillEncodedSensibly) {
  const Format& f = *find_format(GetParam());
  const Row row = normal_row(256, 6);
  Row v(256, 1.0f);
  std::fill(v.begin() + 64, v.begin() + 128, 0.0f);
  const Row back = round_trip(f, row, v, Effort::normal);
  double off = 0, all = 0;
  for (size_t j = 64; j < 128; ++j) {
    off += std::pow(static_cast<double>(back[j]) - row[j], 2);
    all += std::pow(row[j], 2);
  }
  EXPECT_LT(off, 2 * f.rmse_ceiling * f.rmse_ceiling * all);
}

TEST_P(KQuant, ScalingARowByAPowerOfTwoScalesItsEncoding) {
  const Format& f = *find_format(GetParam());
  const Row row = normal_row(512, 7), v = positive_row(512, 8);
  Row larger = row, more = v;
  for (float& x : larger) x *= 64;
  for (float& w : more) w *= 0x1p20f;
  Row expected = round_trip(f, row, v, Effort::normal);
  for (float& x : expected) x *= 64;
  EXPECT_EQ(round_trip(f, larger, more, Effort::normal), expected);
}

TEST_P(KQuant, DecodedRowsEncodeWithHardlyAnyLoss) {
  const Format& f = *find_format(GetParam());
  const Row row = round_trip(f, normal_row(2048, 9), {}, Effort::normal);
  const double again = error(row, round_trip(f, row, {}, Effort::max), {});
  EXPECT_LT(again, 0.1 * f.rmse_ceiling * f.rmse_ceiling * energy(row, {}));
}

TEST_P(KQuant, EachWeightMatters) {
  const Format& f = *find_format(GetParam());
  for (uint32_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    const Row row = normal_row(512, seed), v = positive_row(512, seed + 100);
    EXPECT_LT(error(row, round_trip(f, row, v, Effort::normal), v),
              error(row, round_trip(f, row, {}, Effort::normal), v));
  }
}

std::string name_of(const testing::TestParamInfo<FormatId>& info) {
  return std::string{format_name(info.param)};
}
INSTANTIATE_TEST_SUITE_P(Formats, KQuantGolden, testing::ValuesIn(kKFormats), name_of);
INSTANTIATE_TEST_SUITE_P(Formats, KQuant, testing::ValuesIn(kKFormats), name_of);

}  // namespace
}  // namespace snug

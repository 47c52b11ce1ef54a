#include "quant/feedback/second_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "base/parallel.hpp"
#include "base/str.hpp"
#include "quant/gain.hpp"
#include "quant/feedback/row_codes.hpp"
#include "snug/error.hpp"
#include "snug/quantize.hpp"

namespace snug {
namespace {

using Row = std::vector<float>;

constexpr int64_t kCols = 512;  // two of the longest blocks
constexpr int64_t kRows = 5;

/// Rows, and the second moments of inputs that some common causes drive: strong correlations, unequal
/// columns.
struct Case {
  Row weights, moment, mean_square;

  Matrix<const float> rows() const { return {weights.data(), kRows, kCols}; }
  Matrix<const float> second_moment() const { return {moment.data(), kCols, kCols}; }
  ColumnWeights columns() const { return {mean_square, {}, kAlongRow}; }
};

Case random_case(unsigned seed, int causes) {
  std::mt19937 random{seed};
  std::normal_distribution<float> normal;
  std::student_t_distribution<float> heavy{4};
  std::lognormal_distribution<float> lognormal{0, 0.7f};
  Case out{Row(kRows * kCols), Row(kCols * kCols), Row(kCols)};
  for (float& w : out.weights) w = 0.02f * heavy(random);
  Row mix(static_cast<size_t>(causes * kCols)), own(kCols);
  for (float& m : mix) m = normal(random) / std::sqrt(static_cast<float>(causes));
  for (float& o : own) o = lognormal(random);
  for (int64_t i = 0; i < kCols; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      float sum = i == j ? 0.1f : 0;
      for (int c = 0; c < causes; ++c)
        sum += mix[static_cast<size_t>(c * kCols + i)] * mix[static_cast<size_t>(c * kCols + j)];
      out.moment[static_cast<size_t>(i * kCols + j)] = out.moment[static_cast<size_t>(j * kCols + i)] =
          sum * own[static_cast<size_t>(i)] * own[static_cast<size_t>(j)];
    }
  for (size_t j = 0; j < kCols; ++j) out.mean_square[j] = out.moment[j * kCols + j];
  return out;
}

std::vector<std::byte> plain(const Format& format, const Case& c) {
  std::vector<std::byte> blocks(static_cast<size_t>(kRows * format.row_bytes(kCols)));
  quantize(format, c.rows(), c.columns(), Effort::normal, blocks);
  return blocks;
}

std::vector<std::byte> second_order(const Format& format, const Case& c, const HessianFactor& curvature) {
  std::vector<std::byte> blocks(static_cast<size_t>(kRows * format.row_bytes(kCols)));
  encode_second_order(format, c.rows(), c.columns(), curvature, Effort::normal, blocks);
  return blocks;
}

double error(const Format& format, const Case& c, const HessianFactor& curvature,
             const std::vector<std::byte>& blocks, int64_t row) {
  Row decoded(kCols);
  format.decode(blocks.data() + row * format.row_bytes(kCols), decoded);
  return curved_error(c.rows().row(row), decoded, curvature, kAlongRow);
}

std::vector<const Format*> changeable() {
  std::vector<const Format*> out;
  for (const Format& format : all_formats())
    if (has_second_order(format)) out.push_back(&format);
  return out;
}

TEST(SecondOrder, KnowsEveryFormatBelowNineBitsButTritsInBytes) {
  for (const Format& format : all_formats())
    EXPECT_EQ(has_second_order(format), format.bits_per_weight() <= 9 && format.id != FormatId::tq1_0)
        << format.name;
}

TEST(SecondOrder, IsNeverWorseThanTheFormatsOwnEncoderAndMostlyMuchBetter) {
  for (const unsigned seed : {1u, 2u, 3u}) {
    const Case c = random_case(seed, 40);
    const HessianFactor curvature = make_curvature(c.second_moment(), 0.05);
    for (const Format* format : changeable()) {
      SCOPED_TRACE(str(format->name, ", seed ", seed));
      const auto before = plain(*format, c), after = second_order(*format, c, curvature);
      double all_before = 0, all_after = 0;
      for (int64_t r = 0; r < kRows; ++r) {
        const double own = error(*format, c, curvature, before, r),
                     found = error(*format, c, curvature, after, r);
        EXPECT_LE(found, own * (1 + 1e-4)) << r;
        all_before += own;
        all_after += found;
      }
      EXPECT_LT(all_after, 0.8 * all_before);
    }
  }
}

TEST(SecondOrder, RowsByThemselvesAndTogetherGiveTheSameBytes) {
  const Case c = random_case(4, 60);
  const HessianFactor curvature = make_curvature(c.second_moment(), 0.1);
  for (const Format* format : changeable()) {
    const auto together = second_order(*format, c, curvature);
    std::vector<std::byte> one(static_cast<size_t>(format->row_bytes(kCols)));
    for (int64_t r = 0; r < kRows; ++r) {
      encode_second_order(*format, {c.rows().row(r).data(), 1, kCols}, c.columns(), curvature, Effort::normal,
                          one);
      EXPECT_TRUE(std::equal(one.begin(), one.end(), together.begin() + r * format->row_bytes(kCols)))
          << format->name;
    }
  }
}

TEST(SecondOrder, WithoutCorrelationsStaysAtLeastAsGood) {
  Case c = random_case(5, 1);
  for (int64_t i = 0; i < kCols; ++i)
    for (int64_t j = 0; j < kCols; ++j)
      if (i != j) c.moment[static_cast<size_t>(i * kCols + j)] = 0;
  const HessianFactor curvature = make_curvature(c.second_moment(), 0);
  for (const Format* format : changeable()) {
    const auto before = plain(*format, c), after = second_order(*format, c, curvature);
    for (int64_t r = 0; r < kRows; ++r)
      EXPECT_LE(error(*format, c, curvature, after, r), error(*format, c, curvature, before, r) * (1 + 1e-4))
          << format->name;
  }
}

TEST(SecondOrder, ZeroRowsDeadColumnsAndNoActivationsAreFine) {
  Case c = random_case(6, 8);
  std::fill_n(c.weights.begin(), kCols, 0.0f);
  for (int64_t i = 0; i < kCols; ++i)
    for (const int64_t dead : {3, 100, 300})
      c.moment[static_cast<size_t>(i * kCols + dead)] = c.moment[static_cast<size_t>(dead * kCols + i)] = 0;
  for (const bool silent : {false, true}) {
    if (silent) std::ranges::fill(c.moment, 0.0f);
    const HessianFactor curvature = make_curvature(c.second_moment(), 0);
    for (const Format* format : changeable()) {
      SCOPED_TRACE(str(format->name, silent ? ", silent" : ""));
      const auto blocks = second_order(*format, c, curvature);
      for (int64_t r = 0; r < kRows; ++r) {
        const double e = error(*format, c, curvature, blocks, r);
        EXPECT_TRUE(std::isfinite(e)) << r;
        EXPECT_LE(e, error(*format, c, curvature, plain(*format, c), r) * (1 + 1e-4)) << r;
      }
    }
  }
}

TEST(SecondOrder, ExtremeWeightsStayFinite) {
  Case c = random_case(7, 20);
  for (size_t j = 0; j < kCols; ++j) c.weights[j] *= 1e-7f;
  for (size_t j = kCols; j < 2 * kCols; ++j) c.weights[j] *= 1e5f;
  c.weights[2 * kCols] = 60000;
  const HessianFactor curvature = make_curvature(c.second_moment(), 0.1);
  for (const Format* format : changeable()) {
    Row decoded(kCols);
    const auto blocks = second_order(*format, c, curvature);
    for (int64_t r = 0; r < kRows; ++r) {
      format->decode(blocks.data() + r * format->row_bytes(kCols), decoded);
      EXPECT_TRUE(std::ranges::all_of(decoded, [](float y) { return std::isfinite(y); }))
          << format->name << ' ' << r;
    }
  }
}

TEST(SecondOrder, RefusesMomentsOfAnotherWidth) {
  const Row identity{1, 0, 0, 1};
  const HessianFactor narrow = make_curvature({identity.data(), 2, 2}, 0);
  EXPECT_THROW(second_order(*find_format("q4_K"), random_case(8, 1), narrow), Error);
}

// --- codes

TEST(RowCodes, ReadAndWrittenAgainAreTheSameBytes) {
  const Case c = random_case(9, 1);
  for (const Format* format : changeable()) {
    auto blocks = plain(*format, c);
    blocks.resize(static_cast<size_t>(format->row_bytes(kCols)));
    const auto before = blocks;
    RowCodes codes{*format, *block_codes(format->id), kCols};
    for (int64_t b = 0; b < kCols / format->block_weights; ++b) codes.load(b, blocks.data());
    for (int64_t b = 0; b < kCols / format->block_weights; ++b) codes.store(b, blocks.data());
    EXPECT_EQ(blocks, before) << format->name;
  }
}

TEST(RowCodes, WhatIsChosenIsWhatDecodes) {
  const Case c = random_case(10, 1);
  std::mt19937 random{10};
  for (const Format* format : changeable()) {
    SCOPED_TRACE(format->name);
    auto blocks = plain(*format, c);
    const BlockCodes& places = *block_codes(format->id);
    RowCodes codes{*format, places, kCols};
    for (int64_t b = 0; b < kCols / format->block_weights; ++b) codes.load(b, blocks.data());
    Row expected(kCols);
    std::optional<GroupSearch> search;
    if (places.is_codebook()) search.emplace(places);
    for (int64_t j = 0; j < kCols; j += search ? kGroup : 1) {
      if (!search) {
        expected[static_cast<size_t>(j)] = codes.choose(j, std::normal_distribution<float>{0, 0.05f}(random));
        continue;
      }
      GroupCodes group = codes.group(j / kGroup);
      for (int e = 0; e < kGroup / places.dimensions; ++e)
        group.entry[e] = static_cast<uint16_t>(random() % static_cast<unsigned>(places.entries));
      if (places.signs == BlockCodes::Signs::bytes) group.negative = static_cast<uint8_t>(random());
      if (places.signs == BlockCodes::Signs::even) group.negative ^= 0x41;
      if (places.signs == BlockCodes::Signs::shift) group.negative ^= 1;
      search->values(group, codes.scale(j / kGroup), expected.data() + j);
      codes.set_group(j / kGroup, group, expected.data() + j);
    }
    for (int64_t b = 0; b < kCols / format->block_weights; ++b) codes.store(b, blocks.data());
    for (size_t j = 0; j < kCols; ++j)
      EXPECT_NEAR(codes.values()[j], expected[j], 1e-5f * std::fabs(expected[j]) + 1e-7f) << j;
  }
}

TEST(GroupSearch, IsNeverWorseThanWhereItStarts) {
  std::mt19937 random{11};
  std::normal_distribution<float> normal;
  for (const Format* format : changeable()) {
    const BlockCodes& places = *block_codes(format->id);
    if (!places.is_codebook()) continue;
    const GroupSearch search{places};
    const GroupScale scale{0.01f, places.signs == BlockCodes::Signs::none ? 0.00125f : 0};
    for (int trial = 0; trial < 200; ++trial) {
      GroupCost cost;
      float mix[kGroup][kGroup], near[kGroup];
      for (auto& row : mix)
        for (float& m : row) m = normal(random);
      for (int i = 0; i < kGroup; ++i) {
        near[i] = 0.2f * normal(random);
        for (int j = 0; j < kGroup; ++j) {
          cost.s[i][j] = i == j ? 0.5f : 0;
          for (int k = 0; k < kGroup; ++k) cost.s[i][j] += mix[i][k] * mix[j][k];
        }
      }
      for (int i = 0; i < kGroup; ++i) {
        cost.b[i] = 0;
        for (int j = 0; j < kGroup; ++j) cost.b[i] -= cost.s[i][j] * near[j];
      }
      const auto price = [&](const GroupCodes& codes) {
        float y[kGroup];
        search.values(codes, scale, y);
        double sum = 0;
        for (int i = 0; i < kGroup; ++i) {
          sum += 2.0 * y[i] * cost.b[i];
          for (int j = 0; j < kGroup; ++j) sum += static_cast<double>(y[i]) * cost.s[i][j] * y[j];
        }
        return sum;
      };
      const GroupCodes start{};
      const GroupCodes found = search.choose(cost, scale, start, near);
      EXPECT_LE(price(found), price(start) + 1e-5) << format->name << ", trial " << trial;
    }
  }
}

// --- curvature

/// R D R^T beside the damped moments.
void expect_factors(const HessianFactor& c) {
  for (int64_t i = 0; i < c.cols; i += 7)
    for (int64_t j = i; j < c.cols; j += 5) {
      double sum = 0;
      for (int64_t k = j; k < c.cols; ++k)
        sum += (k == i ? 1.0 : c.factor(i, k)) * c.weight[static_cast<size_t>(k)] *
               (k == j ? 1.0 : c.factor(j, k));
      const double scale = std::sqrt(static_cast<double>(c.moment_row(i)[i]) * c.moment_row(j)[j]);
      EXPECT_NEAR(sum, c.moment_row(i)[j], 2e-5 * scale) << i << ' ' << j;
    }
}

TEST(HessianFactor, FactorsGiveTheMomentsAgain) {
  for (const double shrink : {0.02, 0.5, 1.0})
    expect_factors(make_curvature(random_case(12, 30).second_moment(), shrink));
}

TEST(HessianFactor, SingularMomentsAreDampedUntilFactorsExist) {
  const Case c = random_case(13, 2);
  Row moment = c.moment;
  for (int64_t i = 0; i < kCols; ++i)  // of rank one
    for (int64_t j = 0; j < kCols; ++j)
      moment[static_cast<size_t>(i * kCols + j)] =
          std::sqrt(c.mean_square[static_cast<size_t>(i)] * c.mean_square[static_cast<size_t>(j)]);
  const HessianFactor curvature = make_curvature({moment.data(), kCols, kCols}, 0);
  EXPECT_LT(curvature.moment_row(0)[1], moment[1]);
  EXPECT_TRUE(std::ranges::all_of(curvature.weight, [](float w) { return w > 0 && std::isfinite(w); }));
  expect_factors(curvature);
}

TEST(HessianFactor, TheSameOnAnyNumberOfThreads) {
  const Case c = random_case(14, 30);
  const int before = threads();
  set_threads(1);
  const HessianFactor one = make_curvature(c.second_moment(), 0.1);
  set_threads(4);
  const HessianFactor four = make_curvature(c.second_moment(), 0.1);
  set_threads(before);
  EXPECT_EQ(one.feedback, four.feedback);
  EXPECT_EQ(one.weight, four.weight);
}

TEST(HessianFactor, RefusesWhatIsNoSecondMoment) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const Row& bad : {Row{nan, 0, 0, 1}, Row{1, nan, nan, 1}, Row{1, inf, inf, 1}, Row{-1, 0, 0, 1},
                         Row{1, 0.5f, 0.4f, 1}, Row{0, 0.5f, 0.4f, 1}}) {
    const Matrix<const float> m{bad.data(), 2, 2};
    EXPECT_THROW(make_curvature(m, 0.1), Error) << bad[0] << ' ' << bad[1];
  }
}

TEST(CurvedError, IsTheQuadraticFormAndItsPartAlongTheRow) {
  const Row moment{2, 1, 1, 3}, w{1, 2}, y{2, 1.5f};  // d = 1, -0.5; H d = 1.5, -0.5; H w = 4, 7
  const HessianFactor c = make_curvature({moment.data(), 2, 2}, 0);
  EXPECT_NEAR(curved_error(w, y, c, 1), 1.75, 1e-6);
  EXPECT_NEAR(curved_error(w, y, c, 16), 1.75 + 15 * 0.25 / 18, 1e-6);
}

}  // namespace
}  // namespace snug

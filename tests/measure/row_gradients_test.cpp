// What sensitivities are made of: samples of rows, what formats do to them, gradients of the rows, gradients by logits.
#include "measure/sensitivity/row_gradients.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>

#include "measure/scores.hpp"
#include "measure/sensitivity/format_squares.hpp"

namespace snug {
namespace {

TEST(RowSample, SpreadTakesWholeGroupsAndAllRowsWhereTheyAreFew) {
  Tensor tensor;
  tensor.shape = {64, 640, 1, 1};
  tensor.dims = 2;
  const RowSample some = spread_sample(tensor, 64, 128);
  EXPECT_EQ(some.rows.size(), 4u * 64);  // four groups at least
  EXPECT_EQ(some.weights, std::vector<double>(4, 2.5));
  for (size_t i = 0; i < some.rows.size(); ++i)
    EXPECT_EQ(some.rows[i] / 64, some.rows[static_cast<size_t>(some.groups[i]) * 64] / 64);
  EXPECT_TRUE(std::ranges::is_sorted(some.rows));
  const RowSample all = spread_sample(tensor, 1, 600);
  EXPECT_TRUE(all.whole());
  EXPECT_EQ(all.weights, std::vector<double>(640, 1.0));
}

TEST(RowSample, ProportionalWeighsEachRowByOneOverItsChance) {
  std::mt19937_64 random{1};
  std::exponential_distribution<double> heavy;
  std::vector<double> sizes;
  for (int i = 0; i < 1000; ++i) sizes.push_back(std::pow(heavy(random), 3));
  sizes[7] = 0;
  double total = 0, estimated = 0;
  const RowSample sample = proportional_sample(sizes, 200);
  for (const double s : sizes) total += s;
  for (size_t i = 0; i < sample.rows.size(); ++i) {
    EXPECT_NE(sample.rows[i], 7);
    EXPECT_GE(sample.weights[i], 1);
    estimated += sample.weights[i] * sizes[static_cast<size_t>(sample.rows[i])];
  }
  EXPECT_NEAR(static_cast<double>(sample.rows.size()), 200, 1.5);
  EXPECT_NEAR(estimated, total, 0.01 * total);  // of what chances are in proportion to, the sum is nearly exact
}

TEST(Scores, HaveTheCurvatureOfTheDivergenceAsSecondMoment) {
  constexpr int64_t kDraws = 20000, kWidth = 5;
  infer::Activations logits(1, kWidth);
  const float values[] = {0.5f, 3, -1, 1, -4};
  std::copy_n(values, kWidth, logits.at(0));
  const infer::Activations g = score_gradients(logits, 3, kDraws, Digest{});
  double p[kWidth], sum = 0;
  for (int i = 0; i < kWidth; ++i) sum += p[i] = std::exp(static_cast<double>(values[i]));
  for (double& v : p) v /= sum;
  for (int i = 0; i < kWidth; ++i)
    for (int j = 0; j < kWidth; ++j) {
      double moment = 0;
      for (int64_t d = 0; d < kDraws; ++d) moment += static_cast<double>(g.at(d)[i]) * g.at(d)[j] / kDraws;
      EXPECT_NEAR(moment, (i == j ? p[i] : 0) - p[i] * p[j], 0.006) << i << " " << j;
    }
}

/// By the definition: whole gradients, row by row.
TEST(RowGradients, SumsAreThoseOfWholeGradients) {
  std::mt19937_64 random{9};
  std::normal_distribution<float> normal;
  const auto rows_of = [&](int64_t count, int64_t width) {
    infer::Activations rows(count, width);
    for (float& v : rows.values()) v = normal(random);
    return rows;
  };
  const infer::Activations weights = rows_of(12, 32), inputs = rows_of(5, 32), gradients = rows_of(10, 6);
  Tensor tensor;
  tensor.shape = {32, 6, 2, 1};
  tensor.dims = 3;
  tensor.format = FormatId::f32;
  tensor.data = std::as_bytes(weights.values()).data();
  const infer::Weight weight{"w", find_format(FormatId::f32), 32, 6, 2, tensor.contiguous()};
  const Sampled sampled{&weight, {{2, 3, 6, 7, 10, 11}, {0, 0, 1, 1, 2, 2}, {2, 2, 2}, 12}, row_energies(tensor, nullptr)};
  const FormatErrors of_format{tensor, nullptr, {find_format(FormatId::q4_0)}, Effort::normal};
  infer::Activations error{1, 32};
  RowGradients of{sampled, 2};
  of.add_product(1, inputs, gradients);
  const std::vector<const RowGradients*> chunks{nullptr, &of};
  const auto squares = format_squares(of_format, sampled.sample, chunks);
  double wanted = 0, covered = 0, all = 0;
  for (int64_t draw = 0; draw < 2; ++draw)
    for (int64_t group = 0; group < 3; ++group) {
      double inner = 0;
      for (int64_t i = 2 * group; i < 2 * group + 2; ++i) {
        const int64_t row = sampled.sample.rows[static_cast<size_t>(i)] - 6;
        of_format.of_row(row + 6, error);
        for (int64_t t = 0; t < 5 && row >= 0; ++t)
          for (int64_t k = 0; k < 32; ++k)
            inner += static_cast<double>(gradients.at(draw * 5 + t)[row]) * inputs.at(t)[k] * error.at(0)[k];
      }
      wanted += 2 * inner * inner;
    }
  for (int64_t row = 6; row < 12; ++row)
    for (int64_t i = 0; i < 10; ++i) {
      const double g = gradients.at(i)[row - 6], part = g * g * sampled.energies[static_cast<size_t>(row)];
      all += part;
      covered += std::ranges::count(sampled.sample.rows, row) ? 2 * part : 0;
    }
  EXPECT_EQ(squares[0], std::vector<double>{0});  // a chunk that showed none
  EXPECT_NEAR(squares[1][0], wanted, 1e-4 * wanted);
  EXPECT_NEAR(of.covered(), covered, 1e-4 * covered);
  EXPECT_NEAR(of.all(), all, 1e-4 * all);

  infer::RowStore store{0};  // and those that have waited on disk in between
  RowGradients rested{sampled, 2};
  rested.rest(store);
  rested.add_product(1, inputs, gradients);
  rested.rest(store);
  const std::vector<const RowGradients*> from_disk{nullptr, &rested};
  EXPECT_EQ(format_squares(of_format, sampled.sample, from_disk), squares);
}

/// As those of a checkpoint that stores a tensor transposed or scaled.
TEST(FormatErrors, AreThoseOfRowsThatAreMadeOnReading) {
  std::vector<float> weights(4 * 32);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i));
  Tensor tensor;
  tensor.shape = {32, 4, 1, 1};
  tensor.dims = 2;
  tensor.format = FormatId::f32;
  Tensor made = tensor;
  tensor.data = std::as_bytes(std::span{weights}).data();
  made.places = std::make_shared<RowPlaces>(
      RowPlaces{1, {}, [&](int64_t row, std::span<std::byte> out) { std::ranges::copy(tensor.row(row), out.begin()); }});
  const std::vector<const Format*> formats{find_format(FormatId::q4_0)};
  infer::Activations in_place{1, 32}, on_reading{1, 32};
  for (int64_t row = 0; row < 4; ++row) {
    FormatErrors{tensor, nullptr, formats, Effort::normal}.of_row(row, in_place);
    FormatErrors{made, nullptr, formats, Effort::normal}.of_row(row, on_reading);
    for (int64_t k = 0; k < 32; ++k) EXPECT_EQ(on_reading.at(0)[k], in_place.at(0)[k]);
  }
  EXPECT_EQ(row_energies(made, nullptr), row_energies(tensor, nullptr));
}

}  // namespace
}  // namespace snug

#include "calibrate/head_importance.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/str.hpp"

namespace snug {
namespace {

constexpr int64_t kCols = 32, kRows = 256, kKinds = 4;

/// A head whose rows lie about one of a few directions, and inputs without any.
struct Planted {
  Planted() {
    std::mt19937 random{11};
    std::normal_distribution<float> normal;
    std::vector<float> directions(kKinds * kCols);
    for (float& d : directions) d = normal(random);
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t j = 0; j < kCols; ++j)
        rows.push_back(directions[static_cast<size_t>(kind(r) * kCols + j)] + 0.05f * normal(random));
    for (int64_t i = 0; i < 400 * kCols; ++i) inputs.push_back(normal(random));
    head.name = "output.weight";
    head.format = find_format(FormatId::f32);
    head.cols = kCols;
    head.rows = kRows;
    head.data = std::as_bytes(std::span{rows});
  }
  static int64_t kind(int64_t row) { return row * 2654435761 / 65536 % kKinds; }
  Matrix<const float> input_rows() const { return {inputs.data(), 400, kCols}; }

  std::vector<float> rows, inputs;
  infer::Weight head;
};

TEST(RowGroups, AreFewerForSmallHeads) {
  EXPECT_EQ(row_group_count(31), 0);
  EXPECT_EQ(row_group_count(40), 2);
  EXPECT_EQ(row_group_count(256), 16);
  EXPECT_EQ(row_group_count(262144), 64);
}

TEST(RowGroups, KeepRowsOfOtherDirectionsApart) {
  const Planted planted;
  const RowGroups groups = group_rows(planted.head, planted.input_rows());
  ASSERT_EQ(groups.count, 16);
  ASSERT_EQ(groups.group_of.size(), static_cast<size_t>(kRows));
  for (int64_t a = 0; a < kRows; ++a)
    for (int64_t b = 0; b < a; ++b)
      if (groups.group_of[static_cast<size_t>(a)] == groups.group_of[static_cast<size_t>(b)]) {
        EXPECT_EQ(Planted::kind(a), Planted::kind(b)) << a << " " << b;
      }
}

TEST(RowGroups, AreTheSameOnAnyThreads) {
  const Planted planted;
  set_threads(1);
  const RowGroups one = group_rows(planted.head, planted.input_rows());
  set_threads(3);
  const RowGroups three = group_rows(planted.head, planted.input_rows());
  set_threads(0);
  EXPECT_EQ(one.group_of, three.group_of);
}

TEST(RowGroups, AreTheSameWhereMemoryIsShort) {
  const Planted planted;
  const RowGroups groups = group_rows(planted.head, planted.input_rows());
  set_memory_limit(1000);
  EXPECT_EQ(group_rows(planted.head, planted.input_rows()).group_of, groups.group_of);
  set_memory_limit(0);
}

TEST(RowGroups, OfColumnsThatNeverChangeAreFine) {
  Planted planted;
  for (size_t i = 0; i < planted.inputs.size(); ++i)
    if (i % kCols < 5) planted.inputs[i] = 0;
  EXPECT_EQ(group_rows(planted.head, planted.input_rows()).group_of.size(), static_cast<size_t>(kRows));
  std::ranges::fill(planted.inputs, 1.0f);
  EXPECT_EQ(group_rows(planted.head, planted.input_rows()).group_of.size(), static_cast<size_t>(kRows));
  EXPECT_TRUE(group_rows(planted.head, {nullptr, 0, kCols}).empty());
  planted.head.rows = 20;
  EXPECT_TRUE(group_rows(planted.head, planted.input_rows()).empty());
}

TEST(Sensitivities, AreSumsOfPTimesOneLessP) {
  std::mt19937 random{5};
  std::normal_distribution<float> normal{0, 3};
  RowGroups groups{3};
  infer::Activations logits(7, 50);
  for (int v = 0; v < 50; ++v) groups.group_of.push_back(v * v % 3);
  for (float& l : logits.values()) l = normal(random);
  logits.at(6)[4] = 1000;  // a certain answer
  const infer::Activations got = sensitivities(groups, logits);
  for (int64_t t = 0; t < 6; ++t) {
    double sum = 0, expected[3] = {};
    for (const float l : logits.row(t)) sum += std::exp(static_cast<double>(l));
    for (size_t v = 0; v < 50; ++v) {
      const double p = std::exp(static_cast<double>(logits.row(t)[v])) / sum;
      expected[groups.group_of[v]] += p * (1 - p);
    }
    for (int g = 0; g < 3; ++g) EXPECT_NEAR(got.at(t)[g], expected[g], 1e-6) << t;
  }
  for (int g = 0; g < 3; ++g) EXPECT_NEAR(got.at(6)[g], 0, 1e-6);
}

TEST(WeightedInputs, LeaveOutWhatDoesNotMatter) {
  infer::Activations sensitivity(4, 2);
  const float of_second[] = {0.25f, 0, 0.04f, 1e-6f};
  for (int t = 0; t < 4; ++t) sensitivity.at(t)[1] = of_second[t];
  const float inputs[] = {1, 2, 3, 4, 5, 6, 7, 8};
  const infer::Activations got = weighted_inputs({inputs, 4, 2}, sensitivity, 1);
  ASSERT_EQ(got.count(), 2);
  EXPECT_FLOAT_EQ(got.at(0)[1], 0.5f * 2);
  EXPECT_FLOAT_EQ(got.at(1)[0], 0.2f * 5);
  EXPECT_EQ(weighted_inputs({inputs, 4, 2}, sensitivity, 0).count(), 0);
}

}  // namespace
}  // namespace snug

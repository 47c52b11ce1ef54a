#include "imatrix/imatrix_merge.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "base/progress.hpp"
#include "infer/tiny_llama.hpp"
#include "calibrate/collect.hpp"
#include "imatrix/imatrix_statistics.hpp"
#include "imatrix/hessian.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

class Merge : public testing::Test {
 protected:
  Merge() {
    test::write_tiny_llama({}, scratch_ / "model.gguf");
    std::mt19937_64 random{4};
    for (int i = 0; i < 100; ++i) text_.tokens.push_back(static_cast<int32_t>(random() % 40));
  }
  void collect(const CollectOptions& options, const std::string& out) {
    const infer::Model model{open_model(scratch_ / "model.gguf")};
    collect_imatrix(model, text_, options, scratch_ / out, Existing::replace);
  }
  ImatrixMergeReport merge(const std::vector<std::string>& names, const std::string& out) {
    std::vector<std::filesystem::path> inputs;
    for (const std::string& name : names) inputs.push_back(scratch_ / name);
    return merge_imatrices(inputs, scratch_ / out, Existing::refuse);
  }
  std::string refusal(const std::vector<std::string>& names) {
    try {
      merge(names, "refused");
    } catch (const Error& error) {
      EXPECT_FALSE(std::filesystem::exists(scratch_ / "refused"));
      return error.what();
    }
    return "accepted";
  }

  test::Scratch scratch_;
  CalibrationTokens text_{{}, 1, "text"};
};

TEST_F(Merge, PartsOfATextAreTheWhole) {
  collect({.chunk_tokens = 16, .output = true, .full = true}, "whole");
  collect({.chunk_tokens = 16, .chunks = 2, .output = true, .full = true}, "a");
  collect({.chunk_tokens = 16, .skip_chunks = 2, .output = true, .full = true}, "b");
  const ImatrixMergeReport report = merge({"a", "b"}, "merged");
  EXPECT_EQ(report.chunks, 6);
  EXPECT_EQ(report.tensors, 15);
  EXPECT_EQ(report.inputs, 10);
  EXPECT_EQ(report.groups_dropped, 0);

  const Imatrix whole = read_imatrix(scratch_ / "whole"), merged = read_imatrix(scratch_ / "merged");
  EXPECT_EQ(merged.datasets, whole.datasets);
  ASSERT_EQ(merged.tensors.size(), whole.tensors.size());
  for (const auto& [name, sums] : whole.tensors) {
    const ImatrixSums& sum = merged.tensors.at(name);
    EXPECT_EQ(sum.counts, sums.counts) << name;
    for (size_t i = 0; i < sums.in_sum2.size(); ++i) {
      EXPECT_FLOAT_EQ(sum.in_sum2[i], sums.in_sum2[i]) << name;
      EXPECT_NEAR(sum.in_sum[i], sums.in_sum[i], 1e-6 * std::sqrt(96 * sums.in_sum2[i])) << name;
    }
  }
  const Hessians moments{scratch_ / "merged"}, expected{scratch_ / "whole"};
  ASSERT_EQ(moments.inputs().size(), expected.inputs().size());
  for (const auto& [name, moment] : expected.inputs()) {
    const Hessian* sum = moments.find(name);
    ASSERT_TRUE(sum) << name;
    EXPECT_EQ(sum->counts, moment.counts);
    EXPECT_EQ(sum->tensors, moment.tensors);
    EXPECT_EQ(sum->row_groups, moment.row_groups);
    for (int64_t i = 0; i < moment.dim * moment.dim; ++i) {
      const auto at = static_cast<size_t>(i);
      const double scale =
          std::sqrt(static_cast<double>(moment.sums[static_cast<size_t>(i / moment.dim * (moment.dim + 1))]) *
                    moment.sums[static_cast<size_t>(i % moment.dim * (moment.dim + 1))]);
      ASSERT_NEAR(sum->sums[at], moment.sums[at], 1e-5 * scale) << name;
    }
  }
}

TEST_F(Merge, WhatOnlySomeHaveIsTakenFromThose) {
  collect({.chunk_tokens = 16, .output = true}, "a");
  collect({.chunk_tokens = 20, .full = true}, "b");
  const ImatrixMergeReport report = merge({"a", "b"}, "merged");
  EXPECT_TRUE(report.differing_chunks);
  EXPECT_EQ(report.in_some_only, 1);
  const Imatrix merged = read_imatrix(scratch_ / "merged");
  EXPECT_EQ(merged.tensors.at("output.weight").counts, std::vector<float>{96});
  EXPECT_EQ(merged.tensors.at("blk.0.attn_q.weight").counts, std::vector<float>{196});
  EXPECT_EQ(Hessians{scratch_ / "merged"}.find("blk.0.attn_q.weight")->counts, std::vector<float>{100});
}

TEST_F(Merge, OutputRowsThatAreGroupedInTwoWaysAreDropped) {
  collect({.chunk_tokens = 16, .output = true, .full = true}, "a");
  for (int32_t& token : text_.tokens) token = (token * 7 + 3) % 40;
  collect({.chunk_tokens = 16, .output = true, .full = true}, "b");
  const Hessians a{scratch_ / "a"}, b{scratch_ / "b"};
  ASSERT_NE(a.find_rows("output.weight")->row_groups, b.find_rows("output.weight")->row_groups);
  const ImatrixMergeReport report = merge({"a", "b"}, "merged");
  EXPECT_EQ(report.groups_dropped, 1);
  EXPECT_EQ(report.inputs, 9);
  const Hessians merged{scratch_ / "merged"};
  EXPECT_EQ(merged.find_rows("output.weight"), nullptr);
  EXPECT_TRUE(merged.find("output.weight"));
}

TEST_F(Merge, MeansThatOneLacksAreDropped) {
  collect({.chunk_tokens = 16}, "a");
  Imatrix without = read_imatrix(scratch_ / "a");
  for (auto& [name, sums] : without.tensors) sums.in_sum.clear();
  write_imatrix(scratch_ / "b", without, Existing::refuse);
  EXPECT_EQ(merge({"a", "b"}, "merged").means_dropped, 14);
  EXPECT_TRUE(read_imatrix(scratch_ / "merged").tensors.at("blk.0.attn_q.weight").in_sum.empty());
}

TEST_F(Merge, WhatDoesNotFitIsRefused) {
  collect({.chunk_tokens = 16}, "a");
  Imatrix other = read_imatrix(scratch_ / "a");
  write_legacy_imatrix(scratch_ / "legacy.dat", other, Existing::refuse);
  ImatrixSums& sums = other.tensors.begin()->second;
  sums.cols /= 2;
  sums.in_sum2.resize(sums.in_sum2.size() / 2);
  sums.in_sum.resize(sums.in_sum2.size());
  write_imatrix(scratch_ / "other", other, Existing::refuse);
  EXPECT_NE(refusal({"a", "other"}).find("columns"), std::string::npos);
  EXPECT_NE(refusal({"a", "legacy.dat"}).find("legacy"), std::string::npos);
  EXPECT_NE(refusal({"a", "model.gguf"}).find("model"), std::string::npos);
}

TEST_F(Merge, SumsBeyondF32AreRefused) {
  collect({.chunk_tokens = 16}, "a");
  Imatrix large = read_imatrix(scratch_ / "a");
  large.tensors.begin()->second.in_sum2[0] = 3e38f;
  write_imatrix(scratch_ / "large", large, Existing::refuse);
  EXPECT_NE(refusal({"large", "large"}).find("too large"), std::string::npos);
}

ImatrixSums sums_of(std::vector<float> squares, std::vector<float> plain, std::vector<float> counts) {
  const auto mats = static_cast<int64_t>(counts.size());
  return {static_cast<int64_t>(squares.size()) / mats, mats, std::move(squares), std::move(plain),
          std::move(counts)};
}

TEST(ImatrixStatistics, SayHowEvenlyColumnsWeigh) {
  Imatrix imatrix;
  imatrix.tensors["blk.10.even"] = sums_of({8, 8, 8, 8}, {4, 4, 4, 4}, {4});
  imatrix.tensors["blk.2.one"] = sums_of({0, 24, 0, 0}, {}, {4});
  const std::vector<TensorStatistics> all = statistics_of(imatrix, 2);
  ASSERT_EQ(all.size(), 2u);
  const TensorStatistics &one = all[0], &even = all[1];
  EXPECT_EQ(one.tensor, "blk.2.one") << "by block, not by letter";
  EXPECT_DOUBLE_EQ(even.energy, 8);
  EXPECT_DOUBLE_EQ(even.share, 8.0 / 14);
  EXPECT_DOUBLE_EQ(even.entropy, 2);
  EXPECT_DOUBLE_EQ(even.effective, 4);
  EXPECT_DOUBLE_EQ(even.mean_share, 0.5);
  EXPECT_DOUBLE_EQ(one.entropy, 0);
  EXPECT_DOUBLE_EQ(one.effective, 1);
  EXPECT_EQ(one.mean_share, -1);
  ASSERT_EQ(one.top.size(), 2u);
  EXPECT_EQ(one.top[0].index, 1);
  EXPECT_DOUBLE_EQ(one.top[0].share, 1);
  EXPECT_EQ(one.top[1].index, 0);
}

TEST(ImatrixStatistics, ExpertsArePooledByTheirTokens) {
  Imatrix imatrix;
  std::vector<float> counts(16, 100);
  counts[3] = 0;
  counts[5] = 5;
  std::vector<float> squares(32, 100);
  squares[6] = squares[7] = 0;
  squares[10] = squares[11] = 5;
  imatrix.tensors["blk.0.ffn_up_exps.weight"] = sums_of(squares, {}, counts);
  imatrix.tensors["blk.0.never"] = sums_of({0, 0}, {}, {0});
  const std::vector<TensorStatistics> all = statistics_of(imatrix, 1);
  EXPECT_DOUBLE_EQ(all[0].tokens, 1405);
  EXPECT_DOUBLE_EQ(all[0].energy, 2);
  EXPECT_EQ(all[0].never_hit, 1);
  EXPECT_EQ(all[0].rarely_hit, 1);
  EXPECT_EQ(all[1].energy, 0);
  EXPECT_TRUE(all[1].top.empty());
}

}  // namespace
}  // namespace snug

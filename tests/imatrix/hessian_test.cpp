#include "imatrix/hessian.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/str.hpp"
#include "imatrix/importance.hpp"
#include "snug/error.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

using test::GgufBytes;

/// Sums over `tokens` random rows, for each matrix.
struct Example {
  Example(std::string input, std::vector<std::string> tensors, int64_t dim, int64_t mats, uint64_t seed)
      : values(static_cast<size_t>(dim * dim * mats)) {
    std::mt19937_64 random{seed};
    std::normal_distribution<float> normal;
    moment = {std::move(input), std::move(tensors), dim, mats, {}, values};
    for (int64_t mat = 0; mat < mats; ++mat) {
      const int tokens = static_cast<int>(mat * 3);  // the first of several is never hit
      moment.counts.push_back(mats > 1 ? static_cast<float>(tokens) : 7.0f);
      for (int t = 0; t < (mats > 1 ? tokens : 7); ++t) add_row(mat, random, normal);
    }
  }
  void add_row(int64_t mat, std::mt19937_64& random, std::normal_distribution<float>& normal) {
    const int64_t n = moment.dim;
    std::vector<float> x(static_cast<size_t>(n));
    for (float& v : x) v = normal(random);
    for (int64_t i = 0; i < n * n; ++i)
      values[static_cast<size_t>(mat * n * n + i)] +=
          x[static_cast<size_t>(i / n)] * x[static_cast<size_t>(i % n)];
  }
  std::vector<float> values;
  Hessian moment;
};

Imatrix small_imatrix() {
  Imatrix imatrix;
  imatrix.tensors["blk.0.attn_q.weight"] = {4, 1, {1, 2, 3, 4}, {}, {7}};
  imatrix.datasets = {"text"};
  imatrix.chunks = 1;
  imatrix.chunk_tokens = 7;
  return imatrix;
}

TEST(Hessians, ComeBackAsTheyWereWritten) {
  const test::Scratch scratch;
  const Example q{"blk.0.attn_q.weight", {"blk.0.attn_q.weight", "blk.0.attn_v.weight"}, 4, 1, 1};
  const Example up{"blk.0.ffn_up_exps.weight", {"blk.0.ffn_up_exps.weight"}, 3, 4, 2};
  write_imatrix(scratch / "im.gguf", small_imatrix(), std::vector{q.moment, up.moment}, Existing::refuse);

  const Hessians read{scratch / "im.gguf"};
  ASSERT_EQ(read.inputs().size(), 2u);
  const Hessian* v = read.find("blk.0.attn_v.weight");
  ASSERT_TRUE(v);
  EXPECT_EQ(v, read.find("blk.0.attn_q.weight"));
  EXPECT_EQ(v->input, "blk.0.attn_q.weight");
  EXPECT_EQ(v->tensors, q.moment.tensors);
  EXPECT_EQ(std::vector(v->sums.begin(), v->sums.end()), q.values);
  const Hessian* experts = read.find("blk.0.ffn_up_exps.weight");
  ASSERT_TRUE(experts);
  EXPECT_EQ(experts->mats, 4);
  EXPECT_EQ(experts->counts, up.moment.counts);
  EXPECT_EQ(std::vector(experts->sums.begin(), experts->sums.end()), up.values);
  EXPECT_EQ(read.find("blk.0.attn_output.weight"), nullptr);

  const Importance beside = Importance::load(scratch / "im.gguf");  // every other reader sees an imatrix
  EXPECT_EQ(beside.tensors().size(), 1u);
}

TEST(Hessians, OfGroupsOfRowsComeBackWithTheGroups) {
  const test::Scratch scratch;
  const Example whole{"output.weight", {"output.weight"}, 4, 1, 1};
  Example rows{rows_input("output.weight"), {rows_input("output.weight")}, 4, 3, 2};
  rows.moment.row_groups = {2, 0, 1, 1, 2};
  const Example other{"z", {"z"}, 3, 1, 3};
  const std::vector all{whole.moment, rows.moment, other.moment};
  write_imatrix(scratch / "im.gguf", small_imatrix(), all, Existing::refuse);
  const Hessians read{scratch / "im.gguf"};
  const Hessian* found = read.find_rows("output.weight");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->row_groups, rows.moment.row_groups);
  EXPECT_EQ(std::vector(found->sums.begin(), found->sums.end()), rows.values);
  EXPECT_EQ(read.find_rows("z"), nullptr);
  EXPECT_EQ(std::vector(read.find("z")->sums.begin(), read.find("z")->sums.end()), other.values);
  EXPECT_TRUE(read.find("output.weight")->row_groups.empty());

  for (const int32_t bad : {3, -1}) {
    rows.moment.row_groups[1] = bad;
    write_imatrix(scratch / "bad.gguf", small_imatrix(), {&rows.moment, 1}, Existing::replace);
    EXPECT_THROW(Hessians{scratch / "bad.gguf"}, Error) << bad;
  }
}

TEST(Hessians, AreDividedByTheirTokens) {
  const Example one{"a", {"a"}, 4, 1, 3}, experts{"b", {"b"}, 3, 3, 4};
  const std::vector<float> mean = mean_moment(one.moment, 0);
  for (size_t i = 0; i < mean.size(); ++i) EXPECT_FLOAT_EQ(mean[i], one.values[i] / 7);
  EXPECT_EQ(mean_moment(one.moment, 5), mean) << "one matrix serves all";
  EXPECT_EQ(mean_moment(experts.moment, 0), std::vector<float>(9, 0.0f)) << "an expert never hit";
  EXPECT_FLOAT_EQ(mean_moment(experts.moment, 2)[0], experts.values[18] / 6);
}

TEST(Hessians, AreMissingFromAnOrdinaryImatrix) {
  const test::Scratch scratch;
  write_imatrix(scratch / "im.gguf", small_imatrix(), Existing::refuse);
  EXPECT_TRUE(Hessians{scratch / "im.gguf"}.empty());
  write_legacy_imatrix(scratch / "im.dat", small_imatrix(), Existing::refuse);
  EXPECT_TRUE(Hessians{scratch / "im.dat"}.empty());
}

TEST(Hessians, ThatContradictThemselvesAreRefused) {
  Example e{"a", {"a"}, 2, 1, 5};
  const auto refusal = [&](size_t at, float value) -> std::string {
    const float before = std::exchange(e.values[at], value);
    std::string message = "accepted";
    try {
      mean_moment(e.moment, 0);
    } catch (const Error& error) {
      message = error.what();
    }
    e.values[at] = before;
    return message;
  };
  EXPECT_EQ(refusal(0, e.values[0]), "accepted");
  EXPECT_NE(refusal(0, -1).find("mean square of column 0"), std::string::npos);
  EXPECT_NE(refusal(1, e.values[1] + 1).find("mirrored"), std::string::npos);
  EXPECT_NE(refusal(2, std::numeric_limits<float>::quiet_NaN()).find("mirrored"), std::string::npos);
}

TEST(Hessians, DamagedFilesAreRefused) {
  const test::Scratch scratch;
  const auto strings = [](const std::vector<std::string>& texts) {
    std::string bytes = GgufBytes::le<uint32_t>(8) + GgufBytes::le<uint64_t>(texts.size());
    for (const std::string& text : texts) bytes += GgufBytes::text(text);
    return bytes;
  };
  const auto refusal = [&](const GgufBytes& file) -> std::string {
    file.save(scratch / "im.gguf");
    try {
      const Hessians moments{scratch / "im.gguf"};
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  const auto head = [&](const std::vector<std::string>& tensors, const std::vector<std::string>& inputs) {
    GgufBytes file;
    file.key("imatrix.moment_tensors", 9, strings(tensors)).key("imatrix.moment_inputs", 9, strings(inputs));
    return file;
  };
  const auto counts = [](GgufBytes file, const std::vector<float>& values) {
    return file.f32("a.moment_counts", {static_cast<int64_t>(values.size())}, values);
  };
  EXPECT_EQ(refusal(counts(head({"a"}, {"a"}).f32("a.in_moment", {2, 2}, {1, 0, 0, 1}), {3})), "accepted");
  EXPECT_NE(refusal(head({"a", "b"}, {"a"})).find("for each of 2"), std::string::npos);
  EXPECT_NE(refusal(head({"a", "a"}, {"a", "a"})).find("twice"), std::string::npos);
  EXPECT_NE(refusal(head({"a"}, {"a"})).find("has no 'a.in_moment'"), std::string::npos);
  EXPECT_NE(
      refusal(counts(head({"a"}, {"a"}).f32("a.in_moment", {2, 3}, {1, 0, 0, 1, 0, 0}), {3})).find("square"),
      std::string::npos);
  EXPECT_NE(
      refusal(counts(head({"a"}, {"a"}).f32("a.in_moment", {2, 2}, {1, 0, 0, 1}), {3, 3})).find("counts"),
      std::string::npos);
  EXPECT_NE(
      refusal(counts(head({"a"}, {"a"}).f32("a.in_moment", {2, 2}, {1, 0, 0, 1}), {-3})).find("holds -3"),
      std::string::npos);
}

}  // namespace
}  // namespace snug

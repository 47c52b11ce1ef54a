#include "measure/measure.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <optional>

#include "base/files/atomic_file.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

class Measure : public testing::Test {
 protected:
  Measure() : model_(open_model(test::tiny_model())), importance_(Importance::load(test::tiny_imatrix())) {
    options_.formats = "q2_K,q4_K,q8_0,iq4_xs";
  }

  Profile run(const std::filesystem::path& state, const Importance* importance = nullptr) {
    Store store = Store::open(state, Access::write);
    const Profile profile = measure(model_, importance ? importance : &importance_, store, options_, &report_);
    contents_ = store.contents_digest();
    return profile;
  }

  test::Scratch scratch_;
  ModelSource model_;
  Importance importance_;
  MeasureOptions options_;
  MeasureReport report_;
  Digest contents_;
};

TEST_F(Measure, IsTheSameOnAnyNumberOfThreads) {
  set_threads(1);
  const std::string one = run(scratch_ / "one").state_digest;
  const Digest contents = contents_;
  set_threads(4);
  EXPECT_EQ(run(scratch_ / "four").state_digest, one);
  EXPECT_EQ(contents_, contents);
  set_threads(0);
}

TEST_F(Measure, TheSecondRunMeasuresNothing) {
  const std::string first = run(scratch_ / "state").state_digest;
  EXPECT_GT(report_.measured, 0);
  EXPECT_EQ(run(scratch_ / "state").state_digest, first);
  EXPECT_EQ(report_.measured, 0);
  EXPECT_GT(report_.reused, 0);
}

TEST_F(Measure, LossesFallAsBitsRiseAndTheSourceIsFree) {
  for (const ProfiledTensor& tensor : run(scratch_ / "state").tensors) {
    SCOPED_TRACE(tensor.name);
    ASSERT_EQ(tensor.candidates.size(), 5u);
    for (size_t c = 1; c < tensor.candidates.size(); ++c) {
      EXPECT_LT(tensor.candidates[c - 1].bytes, tensor.candidates[c].bytes);
      EXPECT_GT(tensor.candidates[c - 1].relative_error, tensor.candidates[c].relative_error);
    }
    EXPECT_EQ(tensor.candidates.back().format, FormatId::f16);
    EXPECT_EQ(tensor.candidates.back().loss, 0);
  }
}

TEST_F(Measure, ShardsMergedAreTheWholePass) {
  const std::string whole = run(scratch_ / "whole").state_digest;
  const Digest contents = contents_;
  options_.shards = 3;
  int64_t measured = 0;
  std::vector<std::filesystem::path> parts;
  for (options_.shard = 0; options_.shard < 3; ++options_.shard) {
    parts.push_back(scratch_ / ("part" + std::to_string(options_.shard)));
    run(parts.back());
    measured += report_.measured;
  }
  const MergeReport merged = merge(scratch_ / "merged", parts);
  EXPECT_EQ(merged.records, measured);
  EXPECT_EQ(merged.contents, contents);
  options_.shard = 0;
  options_.shards = 1;
  EXPECT_EQ(run(scratch_ / "merged").state_digest, whole);
  EXPECT_EQ(report_.measured, 0);
}

TEST_F(Measure, AnotherImportanceMeasuresAgain) {
  run(scratch_ / "state");
  const int64_t all = report_.measured;
  Store store = Store::open(scratch_ / "state", Access::write);
  measure(model_, nullptr, store, options_, &report_);
  EXPECT_EQ(report_.measured, all);
}

TEST_F(Measure, AChangedRowIsMeasuredAgainAndNothingElse) {
  run(scratch_ / "state");
  const std::filesystem::path changed = scratch_ / "changed.gguf";
  std::filesystem::copy_file(test::tiny_model(), changed);
  const Tensor& tensor = *model_.find("blk.1.attn_k.weight");
  const auto offset = tensor.data - model_.tensors()[0].data;
  const auto start = static_cast<std::ptrdiff_t>(std::filesystem::file_size(changed)) -
                     (model_.tensors().back().data + model_.tensors().back().bytes() - model_.tensors()[0].data);
  {
    std::fstream file{changed, std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(start + offset);
    const char one_half[] = {0x00, 0x38};
    file.write(one_half, 2);
  }
  Store store = Store::open(scratch_ / "state", Access::write);
  measure(open_model(changed), &importance_, store, options_, &report_);
  EXPECT_EQ(report_.measured, 4);  // four formats of that one tensor
}

TEST_F(Measure, SamplesAreWithinTheirStandardErrorOfTheWhole) {
  options_.precision = 1e-4;
  std::map<std::pair<std::string, FormatId>, double> exact;
  for (const ProfiledTensor& tensor : run(scratch_ / "exact").tensors)
    for (const Candidate& c : tensor.candidates) exact[{tensor.name, c.format}] = c.relative_error;
  options_.precision = 0.05;
  double chi = 0;
  int sampled = 0;
  for (const ProfiledTensor& tensor : run(scratch_ / "sampled").tensors)
    for (const Candidate& c : tensor.candidates) {
      const double truth = exact[{tensor.name, c.format}];
      if (c.standard_error == 0) continue;
      EXPECT_LE(c.standard_error, 0.05 * c.relative_error);
      EXPECT_NEAR(c.relative_error, truth, 5 * c.standard_error) << tensor.name;
      chi += std::pow((c.relative_error - truth) / c.standard_error, 2);
      ++sampled;
    }
  ASSERT_GT(sampled, 10);
  EXPECT_LT(chi / sampled, 2.0);
}

TEST_F(Measure, UnknownFormatsAndRuntimesAreNamed) {
  options_.formats = "q4_K,q9_Z";
  EXPECT_THROW(run(scratch_ / "state"), Error);
  options_.formats = "";
  options_.runtime = "abacus";
  EXPECT_THROW(run(scratch_ / "state"), Error);
}

}  // namespace
}  // namespace snug

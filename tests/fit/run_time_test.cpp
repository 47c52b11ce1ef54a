#include "fit/run_time.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "source/open_model.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"
#include "tools/arch_models/arch_models.hpp"

namespace snug {
namespace {

TEST(RunTime, GrowsWithTheWeightsThatATokenIsMultipliedWith) {
  const ModelSource tiny = open_model(test::tiny_model());
  EXPECT_DOUBLE_EQ(run_seconds(tiny, 2000), 2 * run_seconds(tiny, 1000));
}

TEST(RunTime, CountsOfAllExpertsThoseThatATokenIsSentTo) {
  const test::Scratch scratch;
  const auto kinds = tools::arch_models();
  const auto experts = std::ranges::find(kinds, std::string_view{"qwen3moe"}, &tools::ArchModel::name);
  ASSERT_NE(experts, kinds.end());
  tools::write_arch_model(*experts, 1, scratch / "moe.gguf");
  const ModelSource moe = open_model(scratch / "moe.gguf");
  double weights = 0;
  for (const Tensor& tensor : moe.tensors()) weights += static_cast<double>(tensor.weights());
  EXPECT_LT(run_seconds(moe, 1), 0.9 * weights / 2e10);  // some experts of all
}

TEST(RunTime, DecidesHowTensorsAreProbedUnlessAPersonDid) {
  const ModelSource tiny = open_model(test::tiny_model());
  CalibrationRequest request;
  EXPECT_EQ(probing_of(tiny, request), Probing::forward);
  request.probing = Probing::reverse;
  EXPECT_EQ(probing_of(tiny, request), Probing::reverse);
  request.probing = Probing::automatic;
  request.context = int64_t{1} << 40;
  EXPECT_EQ(probing_of(tiny, request), Probing::reverse);
  request.probing = Probing::forward;
  EXPECT_EQ(probing_of(tiny, request), Probing::forward);
}

TEST(RunTime, LeavesCorrectionsOutThatWouldTakeHours) {
  const ModelSource tiny = open_model(test::tiny_model());
  CalibrationRequest request;
  EXPECT_TRUE(corrects(tiny, request, 0));
  EXPECT_GT(seconds_of_correcting(tiny, request, INT64_MAX), seconds_of_correcting(tiny, request, 0));
  request.context = int64_t{1} << 40;
  EXPECT_FALSE(corrects(tiny, request, 0));
}

}  // namespace
}  // namespace snug

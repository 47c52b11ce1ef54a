// An imatrix that snug collects is the one that llama.cpp's tool collects from the same text, and leads to
// the same recipe. Theirs were made on a processor that rounds activations to f16 before each product with an
// f16 matrix: sums differ a little, and a token near a tie goes to another expert.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/progress.hpp"
#include "plan/plan.hpp"
#include "calibrate/calibration.hpp"
#include "calibrate/collect.hpp"
#include "measure/measure.hpp"
#include "model/roles.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

/// Columns that differ by more than a thousandth.
struct Difference {
  int64_t columns = 0, experts_beyond = 0, others_beyond = 0;
  float worst_count = 0;
};

bool is_expert(std::string_view tensor) {
  return tensor.find("_exps.") != tensor.npos;
}

void compare(const std::string& name, const ImatrixSums& ours, const ImatrixSums& theirs, Difference& sum) {
  ASSERT_EQ(ours.cols, theirs.cols) << name;
  ASSERT_EQ(ours.mats, theirs.mats) << name;
  for (size_t mat = 0; mat < theirs.counts.size(); ++mat)
    sum.worst_count = std::max(sum.worst_count, std::fabs(ours.counts[mat] / theirs.counts[mat] - 1));
  for (size_t i = 0; i < theirs.in_sum2.size(); ++i) {
    const float square = theirs.in_sum2[i], count = theirs.counts[i / static_cast<size_t>(theirs.cols)];
    const bool beyond = std::fabs(ours.in_sum2[i] - square) > 1e-3f * square ||
                        std::fabs(ours.in_sum[i] - theirs.in_sum[i]) > 1e-3f * std::sqrt(square * count);
    ++sum.columns;
    (is_expert(name) ? sum.experts_beyond : sum.others_beyond) += beyond;
  }
}

class SameImatrix : public testing::TestWithParam<std::string> {
 protected:
  std::map<std::string, FormatId> recipe(const Profile& profile, const ModelSource& model,
                                         const Importance& importance, double bpw) {
    PlanOptions options;
    options.budget = Budget::of_tensors(bpw);
    std::map<std::string, FormatId> formats;
    for (const RecipeTensor& tensor : Planner{profile, model, &importance, options}.plan().recipe.tensors)
      formats[tensor.name] = tensor.format;
    return formats;
  }
  Profile measured(const ModelSource& model, const Importance& importance, const std::string& state) {
    Store store = Store::open(scratch_ / state, Access::write);
    MeasureOptions options;
    options.formats = "q2_K,q3_K,q4_K,q5_K,q6_K,q8_0,iq2_xxs,iq3_xxs,iq4_xs";
    return measure(model, &importance, store, options);
  }

  test::Scratch scratch_;
};

TEST_P(SameImatrix, FromTheSameText) {
  const std::filesystem::path shared = test::shared_folder();
  if (shared.empty()) GTEST_SKIP() << "needs ../shared/models and ../shared/text";
  const std::string name = GetParam();
  const infer::Model model{open_model(test::trained_model(name))};
  const CalibrationTokens text = calibration_tokens({(shared / "text/calib.txt").string()}, model);
  collect_imatrix(model, text, {.chunk_tokens = 256, .output = true}, scratch_ / "ours.gguf",
                  Existing::refuse);

  const Imatrix ours = read_imatrix(scratch_ / "ours.gguf");
  const Imatrix theirs = read_imatrix(test::trained_imatrix(name));
  EXPECT_EQ(ours.chunks, theirs.chunks);
  EXPECT_EQ(ours.tensors.size(), theirs.tensors.size());
  Difference difference;
  for (const auto& [tensor, sums] : theirs.tensors) {
    ASSERT_TRUE(ours.tensors.contains(tensor)) << tensor;
    compare(tensor, ours.tensors.at(tensor), sums, difference);
  }
  EXPECT_EQ(difference.others_beyond, 0);
  EXPECT_LE(difference.experts_beyond, difference.columns / 50) << "of " << difference.columns;
  EXPECT_LT(difference.worst_count, 1e-3f);

  const Importance a = Importance::from(ours, "ours"), b = Importance::from(theirs, "theirs");
  const Profile by_ours = measured(model.source(), a, "a"), by_theirs = measured(model.source(), b, "b");
  for (const double bpw : {2.4, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0})
    EXPECT_EQ(recipe(by_ours, model.source(), a, bpw), recipe(by_theirs, model.source(), b, bpw)) << bpw;
}

INSTANTIATE_TEST_SUITE_P(Models, SameImatrix, testing::ValuesIn(test::trained_models()),
                         [](const auto& test) { return std::string{test.param}; });

}  // namespace
}  // namespace snug

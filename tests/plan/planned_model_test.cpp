#include "plan/planned_model.hpp"

#include <gtest/gtest.h>

#include <set>

#include "plan/curve.hpp"
#include "plan/plan.hpp"
#include "report/report_fixture.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

/// An output whose header says more of some formats than of others, as a folder of safetensors does.
class WordySizes final : public OutputSizes {
 public:
  int64_t fixed_bytes(const Recipe&) const override { return 100; }
  int64_t stored_bytes(FormatId, int64_t data_bytes) const override { return data_bytes; }
  bool has_notes() const override { return false; }
  FileLayout layout(const Recipe& recipe) const override {
    int64_t bytes = fixed_bytes(recipe);
    for (const RecipeTensor& tensor : recipe.tensors)
      bytes += tensor.bytes + (tensor.format == FormatId::f16 ? 0 : 700);
    return {bytes, {bytes}};
  }
};

PlanOptions of_file(int64_t bytes) {
  PlanOptions options;
  options.budget = Budget::of_file(bytes);
  return options;
}

TEST(Planner, KeepsTheBudgetWhereTheHeaderDependsOnThePick) {
  const SavedProfile saved = test::random_profile(3);
  PlannedModel model = planned_model(saved);
  model.sizes = std::make_shared<WordySizes>();
  std::set<int64_t> sizes;
  for (int64_t budget = 45'000; budget < 200'000; budget += 1'500) {
    const Recipe recipe = Planner{saved.profile, model, of_file(budget)}.plan().recipe;
    EXPECT_LE(recipe.file_bytes, budget);
    EXPECT_EQ(recipe.file_bytes, WordySizes{}.layout(recipe).bytes);
    sizes.insert(recipe.file_bytes);
  }
  EXPECT_GT(sizes.size(), 20u);
}

TEST(Planner, GivesTheCurvesRecipeForTheSizeOfEachOfItsPoints) {
  const SavedProfile saved = test::random_profile(5);
  const std::vector<CurvePoint> curve = make_curve(saved, 20);
  ASSERT_GT(curve.size(), 10u);
  for (const CurvePoint& point : curve) {
    const Recipe recipe = Planner{saved, of_file(point.file_bytes)}.plan().recipe;
    EXPECT_LE(recipe.file_bytes, point.file_bytes);
    EXPECT_NEAR(recipe.predicted_loss, point.loss, 2e-6 * point.loss);
  }
}

TEST(Planner, NeedsABudget) {
  const SavedProfile saved = test::random_profile(1);
  EXPECT_THROW((Planner{saved, PlanOptions{}}), Error);
}

TEST(PlannedModel, CopiesEveryTensorOfAProfile) {
  const SavedProfile saved = test::random_profile(2);
  const PlannedModel model = planned_model(saved);
  ASSERT_EQ(model.copy.tensors.size(), saved.profile.tensors.size() + saved.profile.fixed.size());
  EXPECT_EQ(model.copy.tensors.front().bytes, saved.profile.tensors.front().candidates.back().bytes);  // f16
  EXPECT_EQ(model.copy.weights, saved.profile.weights());
  EXPECT_FALSE(model.tied_output);
  EXPECT_EQ(model.sizes->fixed_bytes(model.copy), saved.header_bytes);
}

TEST(Budget, CountsWholeFilesOrTheDataOfTensors) {
  Recipe recipe;
  recipe.file_bytes = 1000;
  recipe.tensor_bytes = 800;
  recipe.weights = 1600;
  EXPECT_EQ(Budget::of_file(900).overrun(recipe), 100);
  EXPECT_EQ(Budget::of_file(1000).overrun(recipe), 0);
  EXPECT_EQ(Budget::of_tensors(4).overrun(recipe), 0);
  EXPECT_EQ(Budget::of_tensors(3.99).overrun(recipe), 2);
  EXPECT_EQ(Budget::of_tensors(4.25).bytes(100), 53);
}

TEST(Budget, RefusesBitsThatAreNone) {
  for (const double bits : {0.0, -1.0, 64.5}) EXPECT_THROW(Budget::of_tensors(bits), Error) << bits;
}

}  // namespace
}  // namespace snug

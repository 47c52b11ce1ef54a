#include "fit/folding.hpp"

#include <gtest/gtest.h>

#include "artifact/quantize_model.hpp"
#include "base/files/read_file.hpp"
#include "snug/error.hpp"
#include "snug/fit.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

FitRequest folded_fit(const test::Scratch& scratch) {
  FitRequest request;
  request.model = test::tiny_model();
  request.sizes = {{.plan = {.budget = Budget::of_file(900'000)}, .output = scratch / "out.gguf"}};
  request.state = scratch / "state";
  request.evidence.inputs.imatrix = test::tiny_imatrix();
  request.evidence.measuring.formats = "q2_K,q3_K,q4_K";
  request.evidence.calibration.run = false;
  request.evidence.feedback = Feedback::off;
  request.evidence.fold = true;
  return request;
}

TEST(FoldedFit, GivesItsBytesAgainFromRecipeAndImatrix) {
  const test::Scratch scratch;
  Events silent;
  const Recipe recipe = fit(folded_fit(scratch), silent).front().recipe;
  ASSERT_FALSE(recipe.folds.empty());
  const ModelSource source = open_model(test::tiny_model());
  std::optional<Importance> importance = Importance::load(test::tiny_imatrix());
  EXPECT_EQ(recipe.imatrix_digest, importance_digest(*importance));
  const FoldedModel again = fold_model(source, importance, nullptr, parse_recipe(to_json(recipe), "r.json").folds);
  EXPECT_EQ(recipe.imatrix_digest, importance_digest(*importance));  // the file's, folded or not
  quantize_model(again.model, &*importance, recipe, scratch / "again.gguf", Existing::refuse);
  EXPECT_TRUE(read_file(scratch / "out.gguf") == read_file(scratch / "again.gguf"));
}

TEST(FoldedFit, MeasuresTheFoldedModel) {
  const test::Scratch scratch;
  Events silent;
  FitRequest request = folded_fit(scratch);
  const FitResult folded = fit(request, silent).front();
  request.evidence.fold = false;
  request.sizes.front().output = scratch / "plain.gguf";
  const FitResult plain = fit(request, silent).front();
  EXPECT_GT(plain.measured.reused, 0);    // tensors that no fold changes
  EXPECT_GT(plain.measured.measured, 0);  // the others
  EXPECT_TRUE(plain.recipe.folds.empty());
}

TEST(FoldedModel, NeedsAnImatrix) {
  const ModelSource source = open_model(test::tiny_model());
  std::optional<Importance> none;
  EXPECT_THROW(fold_model(source, none, nullptr, [](const Tensor& t) { return t.format; }), Error);
}

TEST(LikelyFormat, IsTheCandidateNearestToTheBudget) {
  const ModelSource source = open_model(test::tiny_model());
  PlanOptions plan;
  plan.budget = Budget::of_file(2 * source.bytes() / 16 * 3 / 2);  // three bits of sixteen
  const MeasureOptions measuring{.formats = "q2_K,q3_K,q6_K"};
  const LikelyFormat format = likely_format(source, measuring, {&plan, 1});
  EXPECT_EQ(format(*source.find("blk.0.attn_q.weight")), FormatId::q3_K);
  EXPECT_EQ(format(*source.find("blk.0.attn_norm.weight")), FormatId::f32);
}

}  // namespace
}  // namespace snug

#include "report/report.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "recipe/recipe_fixture.hpp"
#include "plan/curve.hpp"
#include "report/report_fixture.hpp"
#include "report/tables.hpp"
#include "snug/error.hpp"

namespace snug::report {
namespace {

Report report_of_state(uint64_t seed) {
  Inputs inputs;
  inputs.profile = test::random_profile(seed);
  return make_report(inputs);
}

/// The least loss of all recipes whose file is no larger, by trying every one.
double least_loss(const SavedProfile& saved, int64_t file_bytes) {
  double least = std::numeric_limits<double>::infinity();
  const auto& tensors = saved.profile.tensors;
  const std::function<void(size_t, int64_t, int64_t)> visit = [&](size_t t, int64_t bytes, int64_t loss) {
    if (bytes > file_bytes) return;
    if (t == tensors.size()) {
      least = std::min(least, static_cast<double>(loss) * 1e-12);
      return;
    }
    for (const Candidate& c : tensors[t].candidates) visit(t + 1, bytes + c.bytes, loss + c.loss);
  };
  visit(0, saved.header_bytes + saved.profile.fixed[0].bytes, 0);
  return least;
}

TEST(Curve, EachPointIsTheBestRecipeOfItsSize) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    SCOPED_TRACE(seed);
    const SavedProfile saved = test::random_profile(seed);
    const std::vector<CurvePoint> curve = make_curve(saved, 20);
    ASSERT_GT(curve.size(), 10u);
    for (size_t i = 0; i < curve.size(); ++i) {
      EXPECT_NEAR(curve[i].loss, least_loss(saved, curve[i].file_bytes), 2e-6 * curve[i].loss);
      if (i == 0) continue;
      EXPECT_GT(curve[i].file_bytes, curve[i - 1].file_bytes);
      EXPECT_LT(curve[i].loss, curve[i - 1].loss);
    }
    EXPECT_EQ(curve.back().loss, 0);  // the source itself
  }
}

TEST(Curve, ReachesFromTheSmallestToTheLargestSize) {
  const SavedProfile saved = test::random_profile(4);
  int64_t smallest = saved.header_bytes + 1024, largest = smallest;
  for (const ProfiledTensor& t : saved.profile.tensors) {
    smallest += t.candidates.front().bytes;
    largest += t.candidates.back().bytes;
  }
  const std::vector<CurvePoint> curve = make_curve(saved, 7);
  EXPECT_EQ(curve.front().file_bytes, smallest);
  EXPECT_EQ(curve.back().file_bytes, largest);
}

TEST(Curve, NoPresetLiesBelowIt) {
  const SavedProfile saved = test::random_profile(5);
  const std::vector<PresetPoint> presets = preset_points(saved);
  const auto q4 =
      std::ranges::find_if(presets, [](const PresetPoint& p) { return p.name.find("q4_k") == 0; });
  ASSERT_NE(q4, presets.end());
  for (const PresetPoint& preset : presets) {
    SCOPED_TRACE(preset.name);
    EXPECT_GE(preset.loss, least_loss(saved, preset.file_bytes) * (1 - 1e-9));
    EXPECT_EQ(preset.name.find("iq"), std::string::npos);  // not measured in this profile
  }
}

TEST(Curve, HasAPointAtEveryPresetsSizeThatIsNoWorse) {
  const Report report = report_of_state(5);
  for (const PresetPoint& preset : report.presets) {
    double loss = std::numeric_limits<double>::infinity();
    for (const CurvePoint& point : report.curve)
      if (point.file_bytes <= preset.file_bytes) loss = point.loss;
    EXPECT_LE(loss, preset.loss * (1 + 2e-6)) << preset.name;
  }
}

TEST(Curve, PlansWithinTheBits) {
  const SavedProfile saved = test::random_profile(6);
  for (const double bits : {2.75, 3.0, 4.25, 6.0, 20.0}) {
    SCOPED_TRACE(bits);
    const Recipe recipe = plan_without_model(saved, bits);
    EXPECT_LE(recipe.bits_per_weight(), bits);
    EXPECT_TRUE(recipe.proven_optimal);
    int64_t bytes = 0;
    for (const RecipeTensor& t : recipe.tensors) bytes += t.bytes;
    EXPECT_EQ(bytes, recipe.tensor_bytes);
  }
  try {
    plan_without_model(saved, 1.0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::unreachable_budget);
  }
}

TEST(Report, SharesAndErrorsAddUp) {
  const Report report = report_of_state(7);
  double share = 0, loss = 0, variance = 0;
  for (const TensorRow& row : report.tensors) {
    share += row.loss_share;
    loss += row.loss;
    variance += row.loss_error * row.loss_error;
  }
  EXPECT_NEAR(share, 1, 1e-9);
  EXPECT_NEAR(loss, report.predicted_loss, 1e-15);
  const Certainty& c = report.certainty;
  EXPECT_NEAR(c.share_sharp + c.share_probed + c.share_prior, 1, 1e-9);
  EXPECT_NEAR(c.loss_error, std::sqrt(variance), 1e-15);
  EXPECT_LT(c.sampling_error, c.loss_error);
  EXPECT_EQ(c.probed + c.priors, 6);
  EXPECT_EQ(c.priors, 2);
}

TEST(Report, LabelsAndLayers) {
  const Report report = report_of_state(8);
  EXPECT_EQ(report.tensors[0].label, "token_embd");
  EXPECT_EQ(report.tensors[0].layer, -1);
  EXPECT_EQ(report.tensors[5].name, "blk.1.ffn_down.weight");
  EXPECT_EQ(report.tensors[5].label, "ffn_down");
  EXPECT_EQ(report.tensors[5].layer, 1);
}

TEST(Report, ARecipeAloneHasNoCurve) {
  Inputs inputs;
  inputs.recipe = test::random_recipe(3);
  const Report report = make_report(inputs);
  EXPECT_FALSE(report.has_profile);
  EXPECT_TRUE(report.curve.empty());
  EXPECT_EQ(report.tensors.size(), inputs.recipe->tensors.size());
  EXPECT_EQ(report.predicted_loss, inputs.recipe->predicted_loss);
}

TEST(Report, RefusesARecipeOfAnotherModel) {
  Inputs inputs;
  inputs.profile = test::random_profile(9);
  inputs.recipe = plan_without_model(*inputs.profile, 4);
  EXPECT_NO_THROW(make_report(inputs));
  inputs.recipe->model_digest = std::string(32, 'f');
  EXPECT_THROW(make_report(inputs), Error);
}

TEST(Report, APresetsLossesComeFromTheProfile) {
  Inputs inputs;
  inputs.profile = test::random_profile(10);
  inputs.recipe = plan_without_model(*inputs.profile, 4);
  const double loss = inputs.recipe->predicted_loss;
  for (RecipeTensor& t : inputs.recipe->tensors) t.loss = 0;
  inputs.recipe->predicted_loss = 0;
  EXPECT_NEAR(make_report(inputs).predicted_loss, loss, 1e-15);
}

TEST(Report, MeasuredPresetsArePredictedByName) {
  Inputs inputs;
  inputs.profile = test::random_profile(11);
  inputs.measured = {{"Q4_K_S", 0, 0, 0.01, 0}, {"unknown", 0, 0, 0.02, 0}, {"q3_k_s", 5, 0.5, 0.1, 0}};
  const Report report = make_report(inputs);
  EXPECT_GT(report.measured[0].predicted, 0);
  EXPECT_GT(report.measured[0].bytes, 0);
  EXPECT_EQ(report.measured[1].predicted, 0);
  EXPECT_EQ(report.measured[2].predicted, 0.5);
  EXPECT_EQ(report.agreement.points, 2);
}

TEST(Tables, JsonAndCsvHoldTheSameNumbers) {
  Inputs inputs;
  inputs.profile = test::random_profile(12);
  inputs.measured = {{"a, \"b\"\n", 5, 0.5, 0.1, 0.01}};
  const Report report = make_report(inputs);
  const auto json = nlohmann::json::parse(to_json(report));
  const std::string csv = to_csv(report);
  EXPECT_EQ(json["curve"].size(), report.curve.size());
  EXPECT_EQ(json["presets"].size(), report.presets.size());
  EXPECT_EQ(json["tensors"].size(), report.tensors.size());
  EXPECT_EQ(json["recipe"]["predicted_loss"].get<double>(), report.predicted_loss);
  EXPECT_EQ(json["measured"]["points"][0]["label"], "a, \"b\"\n");
  EXPECT_NE(csv.find("\"a, \"\"b\"\"\n\""), std::string::npos);
  const auto lines = static_cast<size_t>(std::ranges::count(csv, '\n'));
  EXPECT_EQ(lines, 1 + 1 + report.curve.size() + report.presets.size() + report.tensors.size() + 1 + 1);
  for (const char* what : {"\ncurve,", "\npreset,", "\ntensor,token_embd.weight,,", "\nmeasured,"})
    EXPECT_NE(csv.find(what), std::string::npos) << what;
}

TEST(SavedProfile, ComesBackAsItWas) {
  const SavedProfile saved = test::random_profile(13);
  const std::string text = to_text(saved);
  EXPECT_TRUE(is_saved_profile(text));
  EXPECT_EQ(to_text(parse_saved_profile(text, "here")), text);
  for (const std::string& bad : {text.substr(0, text.find('\n')), text.substr(0, text.size() / 2),
                                 std::string{"{\"snug_saved_profile\":2}\n{}"}, std::string{}})
    EXPECT_THROW(parse_saved_profile(bad, "here"), Error);
}

}  // namespace
}  // namespace snug::report

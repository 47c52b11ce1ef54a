#include "cli/text/report_table.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/str.hpp"
#include "recipe/recipe_fixture.hpp"

namespace snug::cli {
namespace {

using test::random_recipe;

/// Two layers of attn_q (q4_K, q5_K) and ffn_down (q4_K twice), a norm that is copied.
Recipe small_recipe() {
  Recipe r;
  r.method = "optimal";
  const auto add = [&](const char* name, FormatId format, int64_t weights, double loss, bool copied) {
    const BlockShape shape = block_shape(format);
    const int64_t bytes = weights / shape.block_weights * shape.block_bytes;
    r.tensors.push_back({name, format, bytes, loss, copied});
    r.tensor_bytes += bytes;
    r.weights += weights;
    r.predicted_loss += loss;
  };
  add("output_norm.weight", FormatId::f32, 256, 0, true);
  add("blk.0.attn_q.weight", FormatId::q4_K, 65536, 0.01, false);
  add("blk.0.ffn_down.weight", FormatId::q4_K, 131072, 0.02, false);
  add("blk.1.attn_q.weight", FormatId::q5_K, 65536, 0.005, false);
  add("blk.1.ffn_down.weight", FormatId::q4_K, 131072, 0.005, false);
  r.file_bytes = r.tensor_bytes + 1000;
  r.budget_kind = BudgetKind::file;
  r.budget_bytes = r.file_bytes + 1234;
  r.certified_bound = 0.0396;
  return r;
}

bool has_line(const std::string& text, const std::string& start, const std::string& end) {
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(start) && line.ends_with(end)) return true;
  return false;
}

TEST(ReportTable, SaysPerRoleWhatItTakesAndCosts) {
  const std::string text = role_table(small_recipe());
  EXPECT_TRUE(has_line(text, "attn_q               2  131.07 k", "5.000  37.5 %  q4_K 1, q5_K 1")) << text;
  EXPECT_TRUE(has_line(text, "ffn_down             2  262.14 k", "4.500  62.5 %  q4_K 2")) << text;
  EXPECT_TRUE(has_line(text, "norm                 1       256", "32.000   0.0 %  f32 1")) << text;
}

TEST(ReportTable, SaysPerLayerWhatItTakesAndCosts) {
  const std::string text = layer_table(small_recipe());
  EXPECT_TRUE(has_line(text, "none                 1", "f32 1")) << text;
  EXPECT_TRUE(has_line(text, "0                    2  196.61 k", "4.500  75.0 %  q4_K 2")) << text;
  EXPECT_TRUE(has_line(text, "1                    2", "25.0 %  q4_K 1, q5_K 1")) << text;
}

TEST(ReportTable, SummaryNamesBudgetLossBoundAndGap) {
  const std::string text = summary_lines(small_recipe());
  EXPECT_NE(text.find("1,234 bytes unused"), std::string::npos) << text;
  EXPECT_NE(text.find("loss      0.04 nats per token"), std::string::npos) << text;
  EXPECT_NE(text.find("bound     0.0396 nats per token"), std::string::npos) << text;
  EXPECT_NE(text.find("gap 1 %"), std::string::npos) << text;
  Recipe preset = small_recipe();
  preset.budget_kind = BudgetKind::none;
  preset.predicted_loss = preset.certified_bound = 0;
  EXPECT_EQ(summary_lines(preset).find("budget"), std::string::npos);
  EXPECT_EQ(summary_lines(preset).find("bound"), std::string::npos);
}

TEST(ReportTable, LimitsAreNamedWhereABoundDoesNotKnowThem) {
  Recipe recipe = small_recipe();
  recipe.limits = "--max-formats 2";
  recipe.proven_optimal = true;
  recipe.certified_bound = 0.012;
  const std::string text = summary_lines(recipe);
  EXPECT_TRUE(has_line(text, "limits", "--max-formats 2")) << text;
  EXPECT_TRUE(has_line(text, "search", "found no better recipe within them")) << text;
  EXPECT_TRUE(has_line(text, "bound     0.012", "gap at most 70 %")) << text;
  EXPECT_EQ(text.find("optimal", text.find("bound")), std::string::npos) << text;
}

TEST(ReportTable, AnUnknownLossIsSaidToBeUnknown) {
  Recipe recipe = small_recipe();
  recipe.loss_known = false;
  recipe.predicted_loss = recipe.certified_bound = 0;
  EXPECT_TRUE(has_line(summary_lines(recipe), "loss      unknown", "these formats")) << summary_lines(recipe);
  EXPECT_TRUE(report_json(recipe)["summary"]["predicted_loss"].is_null());
  EXPECT_TRUE(report_json(recipe)["summary"]["gap"].is_null());
}

TEST(ReportTable, AProfileTellsWhatTheLossesRestOn) {
  Profile profile;
  ProfiledTensor probed;
  probed.name = "blk.0.attn_q.weight";
  probed.alpha = 2;
  probed.alpha_from = "probe";
  probed.candidates = {{FormatId::q4_K, 36864, 0.005, 0.0003, 0}};
  ProfiledTensor prior = probed;
  prior.name = "blk.0.ffn_down.weight";
  prior.alpha_from = "prior";
  prior.weighted = true;
  prior.candidates[0].standard_error = 0.0004;
  profile.tensors = {probed, prior};
  const std::string text = report_table(profile, small_recipe());
  EXPECT_NE(text.find("1 tensors probed, 1 by prior, 1 without imatrix data; sampling error 0.001\n"),
            std::string::npos)
      << text;
  ProfiledTensor reversed = prior;
  reversed.name = "blk.1.attn_q.weight";
  reversed.alpha_from = "reverse";
  profile.tensors.push_back(reversed);
  EXPECT_NE(report_table(profile, small_recipe()).find("1 tensors probed, 1 by a reverse pass, 1 by prior"), std::string::npos);
  const auto json = report_json(small_recipe(), &profile);
  EXPECT_EQ(json["summary"]["evidence"]["prior_tensors"], 1);
  EXPECT_DOUBLE_EQ(json["summary"]["evidence"]["sampling_error"].get<double>(), 0.001);
}

TEST(ReportTable, NoLineIsWiderThanTheTerminal) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    Recipe recipe = random_recipe(seed, 60);
    recipe.budget_bytes = 999'999'999'999;
    std::istringstream lines{report_table(recipe)};
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), kReportWidth) << line;
  }
}

TEST(ReportTable, FormatsThatDoNotFitAreCounted) {
  Recipe recipe;
  for (const FormatId format :
       {FormatId::q2_K, FormatId::q3_K, FormatId::q4_K, FormatId::q5_K, FormatId::q6_K, FormatId::q8_0,
        FormatId::iq4_xs, FormatId::iq3_xxs, FormatId::iq2_xxs, FormatId::iq1_m})
    recipe.tensors.push_back(
        {str("blk.", recipe.tensors.size(), ".attn_q.weight"), format, 1024, 0.1, false});
  const std::string text = role_table(recipe);
  EXPECT_NE(text.find("iq1_m 1, iq2_xxs 1, +8"), std::string::npos) << text;
}

TEST(ReportTable, JsonHoldsTheSameNumbersExactly) {
  const Recipe recipe = random_recipe(3, 8);
  const auto json = report_json(recipe);
  int64_t tensors = 0, bytes = 0, layers = 0;
  double share = 0;
  for (const auto& role : json["roles"]) {
    tensors += role["tensors"].get<int64_t>();
    bytes += role["bytes"].get<int64_t>();
    share += role["loss_share"].get<double>();
  }
  for (const auto& layer : json["layers"]) layers += layer["tensors"].get<int64_t>();
  EXPECT_EQ(tensors, static_cast<int64_t>(recipe.tensors.size()));
  EXPECT_EQ(layers, tensors);
  EXPECT_EQ(bytes, recipe.tensor_bytes);
  EXPECT_NEAR(share, 1, 1e-12);
  EXPECT_EQ(json["summary"]["predicted_loss"].get<double>(), recipe.predicted_loss);
  EXPECT_EQ(json["summary"]["recipe_digest"], recipe_digest(recipe));
}

TEST(ReportTable, AnEmptyRecipeIsHarmless) {
  EXPECT_FALSE(report_table(Recipe{}).empty());
  EXPECT_EQ(report_json(Recipe{})["roles"].size(), 0u);
}

}  // namespace
}  // namespace snug::cli

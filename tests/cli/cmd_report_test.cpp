#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/progress.hpp"
#include "cli/commands.hpp"
#include "plan/plan.hpp"
#include "plan/baseline_recipes.hpp"
#include "measure/measure.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug::cli {
namespace {

/// The tiny model planned once at 4 bits: recipe.json and model.snug-state side by side.
class ReportOfTiny : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new test::Scratch;
    ASSERT_EQ(run_command("plan", {test::tiny_model().string(), "--imatrix", test::tiny_imatrix().string(),
                                   "--formats", "q2_K,q3_K,q4_K,q5_K,q6_K,q8_0,iq4_xs", "--state",
                                   path("model.snug-state"), "--probe-chunks", "2", "--probe-context", "32",
                                   "--bpw", "4", "-o", path("recipe.json"), "-q"}),
              0)
        << err_;
  }
  static void TearDownTestSuite() { delete scratch_; }

  static int run_command(const std::string& name, std::vector<std::string> arguments) {
    CLI::App app;
    int exit_code = 0;
    name == "plan" ? add_plan(app, exit_code) : add_report(app, exit_code);
    std::ranges::reverse(arguments);  // as CLI11 wants them
    arguments.push_back(name);
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    try {
      app.parse(arguments);
    } catch (const CLI::ParseError&) {
      exit_code = 2;
    }
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return exit_code;
  }
  static int report(std::vector<std::string> arguments) {
    return run_command("report", std::move(arguments));
  }

  static std::string path(const std::string& name) { return (*scratch_ / name).string(); }
  static std::string content(const std::string& name) {
    std::ifstream in{path(name), std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  static bool says(const std::string& text) { return err_.find(text) != std::string::npos; }

  static test::Scratch* scratch_;
  static std::string out_, err_;
};

test::Scratch* ReportOfTiny::scratch_;
std::string ReportOfTiny::out_, ReportOfTiny::err_;

TEST_F(ReportOfTiny, OfARecipeFindsTheStateBesideIt) {
  ASSERT_EQ(report({path("recipe.json"), "-o", path("a.html")}), 0) << err_;
  EXPECT_TRUE(says("model.snug-state"));
  const std::string page = content("a.html");
  EXPECT_TRUE(page.starts_with("<!doctype html>"));
  EXPECT_NE(page.find("class=\"curve\""), std::string::npos);
  EXPECT_EQ(report({path("recipe.json"), "-o", path("a.html")}), 5) << "replaced without --force";
  EXPECT_EQ(report({path("recipe.json"), "-o", path("a.html"), "--force", "-q"}), 0);
  EXPECT_EQ(content("a.html"), page);
}

TEST_F(ReportOfTiny, OfAStateNeedsNoModel) {
  ASSERT_EQ(report({path("model.snug-state"), "--bpw", "4", "--json", "-q"}), 0) << err_;
  const auto json = nlohmann::json::parse(out_);
  const auto recipe = nlohmann::json::parse(content("recipe.json"));
  EXPECT_TRUE(json["recipe"]["planned_for_the_report"].get<bool>());
  EXPECT_EQ(json["recipe"]["tensor_bytes"], recipe["size"]["tensor_bytes"]);
  EXPECT_NEAR(json["recipe"]["predicted_loss"].get<double>(), recipe["loss"]["predicted"].get<double>(),
              1e-12);
  EXPECT_NEAR(json["recipe"]["file_bytes"].get<double>(), recipe["size"]["file_bytes"].get<double>(), 64);
}

/// The report's sizes come from a saved profile, the planner's from the model itself.
TEST_F(ReportOfTiny, SizesAreThoseOfRealOutputs) {
  ASSERT_EQ(report({path("recipe.json"), "--json", "-q"}), 0) << err_;
  const auto json = nlohmann::json::parse(out_);
  const ModelSource model = open_model(test::tiny_model());
  const Importance importance = Importance::load(test::tiny_imatrix());
  size_t compared = 0;
  for (const auto& preset : json["presets"]) {
    const std::string names = preset["name"];
    const Recipe recipe = preset_recipe(model, &importance, names.substr(0, names.find(',')));
    EXPECT_EQ(preset["tensor_bytes"], recipe.tensor_bytes) << names;
    ++compared;
  }
  EXPECT_GT(compared, 8u);
}

TEST_F(ReportOfTiny, WritesTheNumbersByNameAndOnStdout) {
  ASSERT_EQ(report({path("recipe.json"), "-o", path("n.csv"), "-q"}), 0) << err_;
  ASSERT_EQ(report({path("recipe.json"), "-o", path("n.json"), "-q"}), 0) << err_;
  ASSERT_EQ(report({path("recipe.json"), "--csv", "-q"}), 0) << err_;
  EXPECT_EQ(out_, content("n.csv"));
  ASSERT_EQ(report({path("recipe.json"), "--json", "-o", path("both.html"), "-q"}), 0) << err_;
  EXPECT_EQ(out_, content("n.json"));
  EXPECT_TRUE(content("both.html").starts_with("<!doctype html>"));
}

TEST_F(ReportOfTiny, WithTheModelAnOldStateWillDo) {
  std::filesystem::create_directory(*scratch_ / "bare");
  {
    Store store = Store::open(*scratch_ / "bare" / "old.snug-state", Access::write);
    const ModelSource model = open_model(test::tiny_model());
    MeasureOptions options;
    options.formats = "q4_K,q8_0";
    measure(model, nullptr, store, options);  // as before profiles were saved
  }
  EXPECT_EQ(report({path("bare/old.snug-state"), "-o", path("bare/r.html")}), 2);
  EXPECT_TRUE(says("--model")) << err_;
  EXPECT_EQ(report({path("bare/old.snug-state"), "--model", test::tiny_model().string(), "--formats",
                    "q4_K,q8_0", "--bpw", "6", "-o", path("bare/r.html"), "-q"}),
            0)
      << err_;
  EXPECT_EQ(report({path("bare/old.snug-state"), "--bpw", "6", "-o", path("bare/s.html"), "-q"}), 0) << err_;
  EXPECT_EQ(content("bare/r.html"), content("bare/s.html"));
}

TEST_F(ReportOfTiny, ARecipeWithoutItsStateSaysWhatIsMissing) {
  std::filesystem::create_directory(*scratch_ / "alone");
  std::filesystem::copy_file(path("recipe.json"), path("alone/recipe.json"));
  EXPECT_EQ(report({path("alone/recipe.json"), "-o", path("alone/r.html")}), 0);
  EXPECT_TRUE(says("--state")) << err_;
  EXPECT_NE(content("alone/r.html").find("--state"), std::string::npos);
  EXPECT_EQ(
      report({path("alone/recipe.json"), "--state", path("model.snug-state"), "-o", path("alone/s.html")}),
      0);
  EXPECT_NE(content("alone/s.html").find("class=\"curve\""), std::string::npos);
}

TEST_F(ReportOfTiny, RefusesWhatIsNoSource) {
  EXPECT_EQ(report({path("recipe.json")}), 2);
  EXPECT_TRUE(says("-o report.html"));
  EXPECT_EQ(report({test::tiny_model().string(), "-o", path("x.html")}), 2);
  EXPECT_TRUE(says("does not say by what recipe it was made")) << err_;
  EXPECT_EQ(report({path("none.json"), "-o", path("x.html")}), 5);
  EXPECT_EQ(report({path("recipe.json"), "--csv", "--json"}), 2);
  EXPECT_EQ(report({path("model.snug-state"), "--bpw", "1", "-o", path("x.html")}), 3);
  EXPECT_FALSE(std::filesystem::exists(path("x.html")));
}

}  // namespace
}  // namespace snug::cli

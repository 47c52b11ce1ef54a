#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "recipe/export.hpp"
#include "recipe/recipe_fixture.hpp"
#include "support/scratch.hpp"

namespace snug::cli {
void add_export(CLI::App& app, int& exit_code);

namespace {

class ExportOnScratchDisk : public testing::Test {
 protected:
  ExportOnScratchDisk() : recipe_(test::random_recipe(3)) {
    for (RecipeTensor& t : recipe_.tensors)
      if (t.format == FormatId::q2_0) t.format = FormatId::q6_K;
    std::ofstream{scratch_ / "recipe.json"} << to_json(recipe_);
  }

  /// The exit code, with what went to stdout in out_.
  int run(std::vector<std::string> arguments) {
    CLI::App app;
    int exit_code = 0;
    add_export(app, exit_code);
    std::ranges::reverse(arguments);  // as CLI11 wants them
    arguments.push_back("export");
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

  std::string path(const std::string& name) { return (scratch_ / name).string(); }
  std::string content(const std::string& name) {
    std::ifstream in{path(name), std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }

  test::Scratch scratch_;
  Recipe recipe_;
  std::string out_, err_;
};

TEST_F(ExportOnScratchDisk, WithoutAFileTheExportGoesToStdoutAloneAndTheCommandToStderr) {
  for (const char* target : {"llama.cpp", "ik_llama.cpp", "csv", "json"}) {
    SCOPED_TRACE(target);
    EXPECT_EQ(run({path("recipe.json"), "--to", target}), 0);
    EXPECT_EQ(out_, export_recipe(recipe_, *export_target(target)));
  }
  run({path("recipe.json"), "--to", "llama.cpp"});
  EXPECT_NE(err_.find("llama-quantize"), std::string::npos);
  run({path("recipe.json"), "--to", "llama.cpp", "--quiet"});
  EXPECT_EQ(err_, "");
}

TEST_F(ExportOnScratchDisk, WithAFileTheCommandThatUsesItGoesToStdout) {
  EXPECT_EQ(run({path("recipe.json"), "--to", "llama.cpp", "-o", path("types.txt")}), 0);
  EXPECT_EQ(content("types.txt"), export_recipe(recipe_, *export_target("llama.cpp")));
  EXPECT_NE(out_.find("--tensor-type-file '" + path("types.txt") + "'"), std::string::npos) << out_;
}

TEST_F(ExportOnScratchDisk, AnExistingFileIsKeptUnlessForced) {
  std::ofstream{scratch_ / "types.txt"} << "mine";
  EXPECT_NE(run({path("recipe.json"), "--to", "csv", "-o", path("types.txt")}), 0);
  EXPECT_EQ(content("types.txt"), "mine");
  EXPECT_EQ(run({path("recipe.json"), "--to", "csv", "-o", path("types.txt"), "--force"}), 0);
  EXPECT_EQ(content("types.txt"), export_recipe(recipe_, *export_target("csv")));
}

TEST_F(ExportOnScratchDisk, JsonIsOneDocument) {
  EXPECT_EQ(run({path("recipe.json"), "--to", "ik_llama.cpp", "--json"}), 0);
  const auto document = nlohmann::json::parse(out_);
  EXPECT_EQ(document["recipe_digest"], recipe_digest(recipe_));
  EXPECT_EQ(document["patterns"].size(), type_patterns(recipe_, find_target("ik_llama.cpp")).size());
}

TEST_F(ExportOnScratchDisk, FailuresHaveTheirExitCodes) {
  std::ofstream{scratch_ / "broken.json"} << "{\"snug_recipe\": 1}";
  EXPECT_EQ(run({path("broken.json"), "--to", "csv"}), 1);
  EXPECT_NE(err_.find("is missing"), std::string::npos) << err_;
  EXPECT_EQ(run({path("recipe.json"), "--to", "mlx"}), 2);
  EXPECT_EQ(run({path("recipe.json")}), 2);
  EXPECT_EQ(run({path("missing.json"), "--to", "csv"}), 5);
  EXPECT_EQ(run({path("recipe.json"), "--to", "csv", "-o", path("no/such/folder/x")}), 5);
  EXPECT_EQ(out_, "");
}

}  // namespace
}  // namespace snug::cli

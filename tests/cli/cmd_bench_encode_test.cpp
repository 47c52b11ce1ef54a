#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "support/tiny_model.hpp"

namespace snug::cli {
namespace {

int bench_encode(std::vector<std::string> arguments, std::string& out) {
  CLI::App app;
  int exit_code = 0;
  add_bench(app, exit_code);
  arguments.insert(arguments.begin(), {"bench", "encode"});
  std::ranges::reverse(arguments);  // as CLI11 wants them
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError&) {
    exit_code = 2;
  }
  out = testing::internal::GetCapturedStdout();
  testing::internal::GetCapturedStderr();
  return exit_code;
}

TEST(BenchEncode, GivesASpeedForEachFormatAskedFor) {
  std::string out;
  ASSERT_EQ(bench_encode({"--formats", "q8_0,iq2_xs", "--rows", "2", "-r", "1", "--model",
                          test::tiny_model().string(), "--imatrix", test::tiny_imatrix().string(), "--json"},
                         out),
            0);
  const auto figures = nlohmann::json::parse(out);
  ASSERT_EQ(figures.size(), 2u);
  EXPECT_EQ(figures[0]["format"], "q8_0");
  EXPECT_EQ(figures[1]["format"], "iq2_xs");
  for (const auto& f : figures) {
    EXPECT_GT(f["million_weights_per_second"], 0);
    EXPECT_GT(f["million_weights_per_second_max"], 0);
    EXPECT_FALSE(f.contains("error_plain")) << "there is nothing to compare with";
  }
}

TEST(BenchEncode, RefusesFormatsAndLibrariesThatAreNone) {
  std::string out;
  EXPECT_EQ(bench_encode({"--formats", "q9_9"}, out), 2);
  EXPECT_EQ(bench_encode({"--formats", "q8_0", "--ggml", test::tiny_model().string()}, out), 1);
  EXPECT_EQ(bench_encode({"--rows", "0"}, out), 2);
}

}  // namespace
}  // namespace snug::cli

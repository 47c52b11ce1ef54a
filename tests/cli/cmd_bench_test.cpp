#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "infer/kernels/kernels.hpp"
#include "eval/roofline.hpp"
#include "infer/tiny_llama.hpp"
#include "support/scratch.hpp"

namespace snug::cli {
namespace {

int run(std::vector<std::string> arguments, std::string& out) {
  CLI::App app;
  int exit_code = 0;
  add_bench(app, exit_code);
  std::ranges::reverse(arguments);  // as CLI11 wants them
  arguments.push_back("bench");
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

TEST(Bench, GivesBothSpeedsBesideTheirLimits) {
  const test::Scratch scratch;
  const std::string model = (scratch / "model.gguf").string();
  test::write_tiny_llama({.format = FormatId::q8_0}, model);
  std::string out;
  ASSERT_EQ(run({model, "-p", "9", "-n", "3", "-r", "2", "--json"}, out), 0);
  const nlohmann::json found = nlohmann::json::parse(out, nullptr, false);
  EXPECT_EQ(found["repacked"], infer::packed_kernels().find_repacked(FormatId::q8_0) != nullptr);
  ASSERT_EQ(found["results"].size(), 2u);
  for (const nlohmann::json& result : found["results"]) {
    EXPECT_GT(result["tokens_per_second"], 0);
    EXPECT_GT(result["limit"], 0);
    EXPECT_EQ(result["repetitions"].size(), 2u);
  }
  EXPECT_EQ(run({model, "-p", "9", "-n", "3", "-r", "1", "--no-repack", "--json"}, out), 0);
  EXPECT_EQ(nlohmann::json::parse(out, nullptr, false)["repacked"], false);
  EXPECT_EQ(run({model, "-p", "0", "-n", "2", "-r", "1"}, out), 0);
  EXPECT_NE(out.find("decode 2"), std::string::npos);
  EXPECT_EQ(out.find("prompt"), std::string::npos);
  EXPECT_EQ(run({model, "-p", "0", "-n", "0"}, out), 2);
  EXPECT_EQ(run({(scratch / "none.gguf").string()}, out), 5);
  EXPECT_EQ(run({}, out), 2);
  EXPECT_EQ(run({model, "-p", "5", "-n", "2", "-r", "1", "--cache-type", "q8_0"}, out), 0);
  EXPECT_EQ(run({model, "--cache-type", "q4_0"}, out), 2);
}

TEST(Bench, CountsTheWeightsOfOneToken) {
  const test::Scratch scratch;
  const std::string path = (scratch / "model.gguf").string();
  test::write_tiny_llama({.format = FormatId::q8_0}, path);
  const infer::Model model{open_model(path)};
  int64_t bytes = 0, weights = 0;
  for (const auto& [name, weight] : model.weights()) {
    if (name == "token_embd.weight" && model.find("output.weight")) continue;
    bytes += weight.bytes();
    if (name != "output.weight" && name != "token_embd.weight") weights += weight.rows * weight.cols;
  }
  EXPECT_EQ(infer::work_of(model).decode_bytes, bytes);
  EXPECT_EQ(infer::work_of(model).prompt_operations, 2 * weights);
}

}  // namespace
}  // namespace snug::cli

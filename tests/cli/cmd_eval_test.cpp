#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "cli/commands.hpp"
#include "infer/session.hpp"
#include "infer/tiny_llama.hpp"
#include "support/scratch.hpp"

namespace snug::cli {
namespace {

class EvalOnScratchDisk : public testing::Test {
 protected:
  EvalOnScratchDisk() {
    test::write_tiny_llama({}, path("base.gguf"));
    test::write_tiny_llama({.format = FormatId::q8_0}, path("model.gguf"));
    std::mt19937_64 random{5};
    std::ofstream out{path("tokens.txt")};
    for (int i = 0; i < 100; ++i) out << random() % 40 << (i % 9 ? " " : "\n");
  }

  int run(std::vector<std::string> arguments) {
    CLI::App app;
    int exit_code = 0;
    add_eval(app, exit_code);
    std::ranges::reverse(arguments);  // as CLI11 wants them
    arguments.push_back("eval");
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
  nlohmann::json json(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--json", "-q"});
    EXPECT_EQ(run(arguments), 0) << err_;
    return nlohmann::json::parse(out_, nullptr, false);
  }

  std::string path(const std::string& name) { return (scratch_ / name).string(); }
  test::Scratch scratch_;
  std::string out_, err_;
};

TEST_F(EvalOnScratchDisk, AloneItGivesPerplexity) {
  const nlohmann::json found = json({path("base.gguf"), "--token-file", path("tokens.txt"), "--ctx", "16"});
  EXPECT_EQ(found["chunks"], 6);
  EXPECT_EQ(found["tokens"], 42);
  EXPECT_GT(found["perplexity"]["value"], 10);
  EXPECT_GT(found["perplexity"]["error"], 0);
  EXPECT_FALSE(found.contains("kl_nats"));
}

TEST_F(EvalOnScratchDisk, AgainstItselfNothingDiffers) {
  const nlohmann::json found = json({path("base.gguf"), "--token-file", path("tokens.txt"), "--ctx", "16",
                                     "--base", path("base.gguf"), "--chunks", "2"});
  EXPECT_EQ(found["tokens"], 14);
  EXPECT_EQ(found["kl_nats"]["max"], 0);
  EXPECT_EQ(found["same_top"]["value"], 1);
  EXPECT_EQ(found["log_perplexity_ratio"]["value"], 0);
}

TEST_F(EvalOnScratchDisk, SavedLogitsStandInForTheOriginal) {
  const std::vector<std::string> text{"--token-file", path("tokens.txt"), "--ctx", "16"};
  std::vector<std::string> beside{path("model.gguf"), "--base", path("base.gguf"), "--save-logits",
                                  path("logits")};
  beside.insert(beside.end(), text.begin(), text.end());
  const nlohmann::json a = json(beside);
  const nlohmann::json b = json({path("model.gguf"), "--base-logits", path("logits")});
  EXPECT_GT(a["kl_nats"]["value"], 1e-6);
  EXPECT_NEAR(a["kl_nats"]["value"].get<double>(), b["kl_nats"]["value"].get<double>(),
              0.01 * a["kl_nats"]["value"].get<double>());
  EXPECT_EQ(a["perplexity"], b["perplexity"]);
  ASSERT_EQ(a["worst"].size(), 10u);
  EXPECT_EQ(a["worst"][0]["kl_nats"], a["kl_nats"]["max"]);
  EXPECT_EQ(run(beside), 5) << "the file is there already";
}

TEST_F(EvalOnScratchDisk, TheTableSaysTheSame) {
  EXPECT_EQ(run({path("model.gguf"), "--base", path("base.gguf"), "--token-file", path("tokens.txt"), "--ctx",
                 "16", "-q"}),
            0);
  for (const char* part : {"perplexity", "mean KL divergence", "same top token", "99.9 %", "chunk "})
    EXPECT_NE(out_.find(part), std::string::npos) << part << "\n" << out_;
  EXPECT_EQ(err_, "");
}

TEST_F(EvalOnScratchDisk, RawLogitsAreThoseOfTheSession) {
  EXPECT_EQ(run({path("base.gguf"), "--tokens", "3,17,5", "--logits", path("out.f32")}), 0) << err_;
  std::ifstream in{path("out.f32"), std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{in}, {}};
  const infer::Model model{open_model(path("base.gguf"))};
  const infer::Activations expected = infer::Session{model, {}}.forward(std::vector<int32_t>{3, 17, 5});
  ASSERT_EQ(bytes.size(), expected.values().size_bytes());
  EXPECT_EQ(std::memcmp(bytes.data(), expected.at(0), bytes.size()), 0);
}

/// The last tensor's last weights are no numbers: no figure can be had from the model.
TEST_F(EvalOnScratchDisk, WhatIsNoNumberIsAnErrorNotAFigure) {
  std::filesystem::copy(path("base.gguf"), path("damaged.gguf"));
  {
    std::fstream file{path("damaged.gguf"), std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(-32, std::ios::end);
    file << std::string(32, '\xff');
  }
  const std::vector<std::string> text{"--token-file", path("tokens.txt"), "--ctx", "16"};
  for (std::vector<std::string> models : {std::vector{path("damaged.gguf")},
                                          {path("damaged.gguf"), "--base", path("base.gguf")},
                                          {path("base.gguf"), "--base", path("damaged.gguf")},
                                          {path("damaged.gguf"), "--compute", "fast"}}) {
    models.insert(models.end(), text.begin(), text.end());
    EXPECT_EQ(run(models), 1) << out_;
    EXPECT_EQ(out_, "");
    EXPECT_NE(err_.find("damaged.gguf"), std::string::npos) << err_;
    EXPECT_NE(err_.find("chunk 0"), std::string::npos) << err_;
  }
}

TEST_F(EvalOnScratchDisk, ADamagedRowOfBaseLogitsIsTold) {
  ASSERT_EQ(run({path("base.gguf"), "--token-file", path("tokens.txt"), "--ctx", "16", "--chunks", "2",
                 "--save-logits", path("logits")}),
            0);
  {
    std::fstream file{path("logits"), std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(20 + 4 * 32 + 4);  // what is least in the first row
    file << std::string(4, '\xff');
  }
  EXPECT_EQ(run({path("model.gguf"), "--base-logits", path("logits")}), 1) << out_;
  EXPECT_NE(err_.find("row 0 of chunk 0"), std::string::npos) << err_;
}

TEST_F(EvalOnScratchDisk, TextsThatCannotServeAreNamed) {
  const std::string model = path("base.gguf"), folder = scratch_.path().string();
  std::ofstream{path("short.txt")} << "1 2 3";
  EXPECT_EQ(run({model, "--token-file", path("short.txt")}), 1);
  EXPECT_NE(err_.find("short.txt"), std::string::npos) << err_;
  EXPECT_EQ(run({model, "--token-file", path("none.txt")}), 5) << err_;
  EXPECT_EQ(run({model, "--token-file", folder}), 5) << err_;
  EXPECT_EQ(run({model, "--task", "arc", "-f", folder}), 5) << err_;
  EXPECT_NE(err_.find(folder), std::string::npos) << err_;
}

TEST_F(EvalOnScratchDisk, AnInputIsNeverReplaced) {
  const std::string model = path("base.gguf"), tokens = path("tokens.txt");
  const auto size = std::filesystem::file_size(model);
  std::filesystem::create_symlink("base.gguf", path("link.gguf"));
  for (const std::string& out : {model, path("link.gguf"), tokens}) {
    EXPECT_EQ(run({model, "--token-file", tokens, "--ctx", "16", "--save-logits", out, "--force"}), 2)
        << err_;
    EXPECT_NE(err_.find("would be lost"), std::string::npos) << err_;
  }
  EXPECT_EQ(run({model, "--tokens", "1", "--logits", model, "--force"}), 2) << err_;
  EXPECT_EQ(std::filesystem::file_size(model), size);
}

/// Of base logits the file says how long its chunks are.
TEST_F(EvalOnScratchDisk, LongChunksAreToldByTheirTrueLength) {
  ASSERT_EQ(run({path("base.gguf"), "--token-file", path("tokens.txt"), "--ctx", "16", "--save-logits",
                 path("logits")}),
            0);
  EXPECT_EQ(run({path("model.gguf"), "--base-logits", path("logits")}), 0);
  EXPECT_EQ(err_.find("longer than"), std::string::npos) << err_;
}

TEST_F(EvalOnScratchDisk, BadInputIsAMessageAndAnExitCode) {
  const std::string model = path("base.gguf"), tokens = path("tokens.txt");
  std::ofstream{path("words.txt")} << "1 2 three";
  test::write_tiny_llama({.vocabulary = 48}, path("other.gguf"));
  EXPECT_EQ(run({model}), 2);
  EXPECT_EQ(run({model, "--tokens", "1,2"}), 2);
  EXPECT_EQ(run({model, "--tokens", "", "--logits", path("o.f32")}), 2) << err_;
  EXPECT_EQ(run({model, "--token-file", tokens, "--base-logits", tokens}), 2);
  EXPECT_EQ(run({model, "--token-file", tokens, "--ctx", "64"}), 1);
  EXPECT_NE(err_.find("128"), std::string::npos) << err_;
  EXPECT_EQ(run({model, "--token-file", path("words.txt")}), 1);
  EXPECT_EQ(run({model, "--base-logits", tokens}), 1);
  EXPECT_EQ(run({model, "--tokens", "1,40", "--logits", path("o.f32")}), 1);
  EXPECT_FALSE(std::filesystem::exists(path("o.f32")));
  EXPECT_EQ(run({path("other.gguf"), "--base", model, "--token-file", tokens, "--ctx", "16"}), 1);
  EXPECT_NE(err_.find("vocabulary"), std::string::npos) << err_;
}

}  // namespace
}  // namespace snug::cli

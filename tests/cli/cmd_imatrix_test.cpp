// `snug imatrix` as a person or a script meets it.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "cli/run_program.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

using test::Outcome;

class ImatrixCommand : public test::RunProgram {
 protected:
  ImatrixCommand() { write_text(3, 3000); }
  Outcome collect(const std::string& more, const std::string& before = "") {
    return snug("imatrix " + model_ + " -f text.txt --chunk 64 " + more, before);
  }

  const std::string model_ = test::tiny_model().string();
};

TEST_F(ImatrixCommand, WritesWhatFitReads) {
  const Outcome outcome = collect("--output-weights -o im.gguf --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["tensors"], 15);
  EXPECT_EQ(json["chunk_tokens"], 64);
  EXPECT_EQ(json["chunks_resumed"], 0);
  const Outcome fit =
      snug("fit " + model_ + " --imatrix im.gguf --formats q4_K --bpw 8 --dry-run --no-probe");
  EXPECT_EQ(fit.exit_code, 0) << fit.err;
  EXPECT_EQ(fit.err.find("no data"), std::string::npos) << fit.err;
  EXPECT_EQ(collect("-o im.gguf").exit_code, 5) << "the output is there already";
  EXPECT_EQ(collect("-o im.gguf --force").exit_code, 0);
}

TEST_F(ImatrixCommand, ASplitRunAndOneInterruptedManyTimesGiveTheSameBytes) {
  for (const std::string options : {"", "--collect-hessians --memory 700kB "}) {
    SCOPED_TRACE(options);
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(collect(options + "-o whole.gguf --force").exit_code, 0);
    const double whole = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::mt19937_64 random{7};
    int finished = 0, stopped = 0;
    for (int i = 0; i < 200 && !finished; ++i) {
      const bool kill = random() % 2;
      // Longer each time, so that a machine that became busy comes to an end as well.
      const double seconds = whole * (0.1 + 0.004 * static_cast<double>(random() % 100) + 0.02 * i);
      const Outcome outcome = collect(
          options + "--save-every 0.001 -o part.gguf --force",  // killed behind the last step, it is there
          std::string{"timeout --preserve-status -s "} + (kill ? "KILL " : "INT ") + std::to_string(seconds));
      if (outcome.exit_code == 0)
        ++finished;
      else
        ++stopped;
      ASSERT_TRUE(outcome.exit_code == 0 || outcome.exit_code == (kill ? 137 : 4) || outcome.exit_code == 130)
          << outcome.exit_code << outcome.err;  // 130: before it listened
      if (!kill && outcome.exit_code == 4) {
        EXPECT_NE(outcome.err.find("saved"), std::string::npos) << outcome.err;
      }
    }
    EXPECT_EQ(finished, 1);
    EXPECT_GT(stopped, 0);
    EXPECT_EQ(contents("whole.gguf"), contents("part.gguf"));
    for (const auto& entry : std::filesystem::directory_iterator{scratch_.path()})
      EXPECT_EQ(entry.path().string().find("resume"), std::string::npos) << entry.path();
    std::filesystem::remove(scratch_ / "part.gguf");
  }
}

TEST_F(ImatrixCommand, ARunOfAnotherTextDoesNotGoOnFromThis) {
  for (int ms = 10; !exists("im.gguf.resume-1") && ms < 4000; ms += 1 + ms / 8) {
    collect("-o im.gguf --save-every 0.001", "timeout -s KILL " + std::to_string(ms / 1000.0));
    std::filesystem::remove(scratch_ / "im.gguf");
  }
  const Outcome other = collect("-o im.gguf --chunks 3");
  EXPECT_EQ(other.exit_code, 0) << other.err;
  EXPECT_NE(other.err.find("starting anew"), std::string::npos) << other.err;
}

TEST_F(ImatrixCommand, PartsAreMergedAndStatisticsShown) {
  ASSERT_EQ(collect("--chunks 2 -o a.gguf").exit_code, 0);
  ASSERT_EQ(collect("--skip-chunks 2 --chunks 1 -o b.gguf").exit_code, 0);
  const Outcome merged = snug("imatrix --merge a.gguf b.gguf -o c.gguf --json");
  ASSERT_EQ(merged.exit_code, 0) << merged.err;
  EXPECT_EQ(nlohmann::json::parse(merged.out)["chunks"], 3);
  const Outcome table = snug("imatrix --statistics c.gguf");
  EXPECT_EQ(table.exit_code, 0) << table.err;
  for (const char* part : {"blk.1.ffn_down.weight", "entropy", "heaviest columns"})
    EXPECT_NE(table.out.find(part), std::string::npos) << part;
  const auto json = nlohmann::json::parse(snug("imatrix --statistics c.gguf --json").out);
  EXPECT_EQ(json["chunks"], 3);
  EXPECT_EQ(json["tensors"][0]["tokens"], 192);
  EXPECT_EQ(json["tensors"][0]["top"].size(), 10u);
}

TEST_F(ImatrixCommand, TheModelCanWriteItsText) {
  const std::string command =
      "imatrix " + model_ + " --calib self --self-tokens 200 --chunk 64 -q -o self.gguf";
  const Outcome outcome = snug(command + " --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["chunks"], 3);
  const std::string first = contents(scratch_ / "self.gguf");
  EXPECT_NE(first.find("written by the model itself, seed 1"), std::string::npos);
  EXPECT_FALSE(exists("self.gguf.resume-text"));
  EXPECT_EQ(snug(command + " --force --threads 1").exit_code, 0);
  EXPECT_EQ(contents(scratch_ / "self.gguf"), first);
}

TEST_F(ImatrixCommand, BadInputIsAMessageAndAnExitCode) {
  const auto expect = [](const Outcome& outcome, int code, const std::string& part) {
    EXPECT_EQ(outcome.exit_code, code) << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
  };
  std::ofstream{scratch_ / "empty.txt"};
  std::ofstream{scratch_ / "short.txt"} << "Once upon a time";
  std::ofstream{scratch_ / "latin1.txt"} << "caf\xE9 au lait";
  const auto with = [&](const std::string& text) {
    return "imatrix " + model_ + " -f " + text + " -o im.gguf";
  };
  expect(snug("imatrix " + model_ + " -f text.txt"), 2, "-o");
  expect(snug("imatrix " + model_ + " -o im.gguf"), 2, "-f");
  expect(snug(with("empty.txt")), 1, "empty");
  expect(snug(with("short.txt")), 1, "tokens");
  expect(snug(with("latin1.txt")), 1, "not UTF-8: byte 3");
  expect(snug(with("nowhere.txt")), 5, "nowhere.txt");
  expect(snug("imatrix text.txt -f text.txt -o im.gguf"), 1, "GGUF");
  expect(snug("imatrix " + test::tiny_imatrix().string() + " -f text.txt -o im.gguf"), 1, "imatrix");
  expect(collect("-o nowhere/im.gguf"), 5, "nowhere");
  expect(collect("-o im.gguf --memory lots --collect-hessians"), 2, "lots");
  expect(collect("-o im.gguf", "ulimit -f 8;"), 5, "im.gguf");
  expect(snug("imatrix --merge a.gguf -o b.gguf"), 2, "two files");
  expect(snug("imatrix --merge a.gguf b.gguf"), 2, "-o");
  expect(snug("imatrix --merge " + test::tiny_imatrix().string() + " " + model_ + " -o im.gguf"), 1, "model");
  expect(snug("imatrix " + model_ + " --statistics a.gguf"), 2, "--statistics");
  expect(snug("imatrix --statistics " + model_), 1, "not an imatrix");
  EXPECT_FALSE(exists("im.gguf"));
}

}  // namespace
}  // namespace snug

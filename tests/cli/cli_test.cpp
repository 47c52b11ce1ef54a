// The program as a person or a script meets it: exit codes, messages, what is left on the disk.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "cli/run_program.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

using test::Outcome;

class Cli : public test::RunProgram {
 protected:
  /// What `fit` collected where no imatrix, or none with second moments, was named.
  std::vector<std::filesystem::path> own_imatrices() const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{scratch_.path()})
      if (entry.path().string().ends_with(".imatrix.gguf") && entry.path() != imatrix_) found.push_back(entry.path());
    return found;
  }

  Outcome fit(const std::string& more, const std::string& before = "") {
    return snug("fit " + model_ + " --imatrix " + imatrix_ + " --formats q2_K,q4_K,q6_K --probe-chunks 2 --probe-context 32 " + more, before);
  }

  const std::string model_ = test::tiny_model().string(), imatrix_ = test::tiny_imatrix().string();
};

TEST_F(Cli, FitWritesAModelWithinTheSizeAndShowsTables) {
  const Outcome outcome = fit("--size 1MB -o out.gguf");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_LE(std::filesystem::file_size(scratch_ / "out.gguf"), 1'000'000u);
  for (const char* word : {"ffn_down", "token_embd", "predicted", "MiB", "optimal"})
    EXPECT_NE(outcome.out.find(word), std::string::npos) << word << "\n" << outcome.out;
}

TEST_F(Cli, HelpThatCannotBeWrittenIsAFailure) {
  for (const char* arguments : {"--help", "run --help", "--version"})
    EXPECT_EQ(snug(std::string{arguments} + " >/dev/full").exit_code, 5) << arguments;
}

TEST_F(Cli, ABenchThatIsStoppedPromisesNothing) {
  const Outcome outcome = interrupt("bench " + model_ + " -r 1000");
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_NE(outcome.err.find("nothing was written"), std::string::npos) << outcome.err;
}

TEST_F(Cli, ASourceIsNeverReplacedEvenByForce) {
  write("model.gguf", contents(model_));
  write("im.gguf", contents(imatrix_));
  const std::string model = contents("model.gguf"), imatrix = contents("im.gguf");
  const std::string fit = "fit model.gguf --imatrix im.gguf --formats q4_K --bpw 8 --no-probe --force -o ";
  for (const std::string& command :
       {fit + "model.gguf", fit + "./im.gguf", fit + "out.gguf --recipe model.gguf",
        std::string{"plan model.gguf --imatrix im.gguf --formats q4_K --bpw 8 --no-probe --force -o model.gguf"},
        std::string{"quantize model.gguf --format q8_0 --force -o model.gguf"},
        std::string{"export model.gguf --to csv --force -o model.gguf"},
        std::string{"report model.gguf --force -o ./model.gguf"},
        std::string{"report im.gguf --model model.gguf --force -o model.gguf"},
        std::string{"imatrix model.gguf --calib self --self-tokens 256 --force -o model.gguf"}}) {
    const Outcome outcome = snug(command);
    EXPECT_EQ(outcome.exit_code, 2) << command << outcome.err;
    EXPECT_NE(outcome.err.find("would be lost"), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(contents("model.gguf"), model);
  EXPECT_EQ(contents("im.gguf"), imatrix);
}

TEST_F(Cli, JsonIsOneDocumentOnStdout) {
  for (const std::string& arguments :
       {"fit " + model_ + " --formats q4_K --bpw 8 --dry-run --probe-chunks 2 --probe-context 32",
        "measure " + model_ + " --formats q4_K --no-probe", "plan " + model_ + " --formats q4_K --bpw 8 --no-probe",
        "plan " + model_ + " --formats q4_K --curve json --no-probe",
        "quantize " + model_ + " --preset q4_k_m --dry-run", "inspect " + model_}) {
    const Outcome outcome = snug(arguments + " --json");
    EXPECT_EQ(outcome.exit_code, 0) << arguments << outcome.err;
    EXPECT_TRUE(nlohmann::json::accept(outcome.out)) << arguments << outcome.out.substr(0, 200);
  }
}

TEST_F(Cli, TheRecipeGivesTheModelAgain) {
  ASSERT_EQ(fit("--bpw 4 -o a.gguf --recipe r.json").exit_code, 0);
  ASSERT_EQ(own_imatrices().size(), 1u);
  const std::string quantize = "quantize " + model_ + " --imatrix " + imatrix_ + " --recipe r.json -o b.gguf";
  if (nlohmann::json::parse(contents(scratch_ / "r.json")).contains("error_feedback")) {
    EXPECT_EQ(snug(quantize).exit_code, 1);  // the second moments are missing
  }
  const Outcome again = snug(quantize + " --moments " + own_imatrices().front().string());
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(contents(scratch_ / "a.gguf"), contents(scratch_ / "b.gguf"));
  EXPECT_EQ(snug("quantize " + model_ + " --recipe r.json -o c.gguf").exit_code, 1);  // the imatrix is missing
}

TEST_F(Cli, FitWithNothingElseAtHandCalibratesAndJudgesItself) {
  const std::string command = "fit " + model_ + " --formats iq2_s,iq3_s,q4_K,q6_K --bpw 3.5 --probe-chunks 4 "
                              "--probe-context 64 --json -o out.gguf";
  const Outcome outcome = snug(command);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto first = nlohmann::json::parse(outcome.out);
  EXPECT_GT(first["probes"]["measured"], 0);
  ASSERT_GE(first["judged"].size(), 1u);
  EXPECT_GT(first["judged"][0]["measured"], 0);
  EXPECT_GT(first["recipe"]["measured"]["kl"], 0);
  for (const auto& judged : first["judged"]) {
    EXPECT_GT(judged["same_top"], 0.2);
    EXPECT_GT(judged["perplexity"], 1);
    EXPECT_EQ(judged["original_perplexity"], first["judged"][0]["original_perplexity"]);
  }
  ASSERT_EQ(own_imatrices().size(), 1u);

  // Again: everything is known, and the bytes are the same.
  const std::string bytes = contents(scratch_ / "out.gguf");
  const Outcome again = snug(command + " --force");
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const auto second = nlohmann::json::parse(again.out);
  EXPECT_EQ(second["recipe"], first["recipe"]);
  EXPECT_EQ(second["measured"], 0);
  EXPECT_EQ(second["probes"]["measured"], 0);
  EXPECT_EQ(second["judged"], first["judged"]);
  EXPECT_EQ(contents(scratch_ / "out.gguf"), bytes);
  EXPECT_EQ(own_imatrices().size(), 1u);
}

TEST_F(Cli, CheckedRecipesAreMeasuredAndReported) {
  const std::string command = "measure " + model_ + " --imatrix " + imatrix_ +
                              " --state s --probe-chunks 4 --probe-context 64 --check 9 --json";
  const Outcome outcome = snug(command);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto checked = nlohmann::json::parse(outcome.out)["checked"];
  ASSERT_EQ(checked["points"].size(), 9u);
  std::set<std::string> kinds;
  for (const auto& point : checked["points"]) {
    kinds.insert(point["label"].get<std::string>().substr(0, 6));
    EXPECT_GT(point["predicted"], 0) << point;
    EXPECT_GT(point["measured"], 0) << point;
  }
  EXPECT_EQ(kinds, (std::set<std::string>{"optima", "preset", "random"}));
  EXPECT_GT(checked["rank_correlation"], 0.8);  // sizes from 2 to 8 bits
  const auto again = nlohmann::json::parse(snug(command).out)["checked"];
  EXPECT_EQ(again, checked);
  const auto report = nlohmann::json::parse(snug("report s --json").out);
  EXPECT_EQ(report["measured"]["points"].size(), 9u);
}

TEST_F(Cli, WithoutProbesNothingIsRun) {
  const auto document = nlohmann::json::parse(fit("--bpw 4 --dry-run --json --no-probe").out);
  EXPECT_FALSE(document.contains("probes"));
  EXPECT_FALSE(document.contains("judged"));
  EXPECT_FALSE(document["recipe"].contains("measured"));
}

TEST_F(Cli, RulesMayStandBeforeTheModel) {
  const Outcome outcome = snug("fit --pin token_embd=q8_0 --pin attn_v=q6_K --min q2_K " + model_ +
                               " --formats q2_K,q6_K,q8_0 --bpw 7 --dry-run --json --no-probe");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const auto& tensor : nlohmann::json::parse(outcome.out)["recipe"]["tensors"])
    if (tensor["name"] == "token_embd.weight") {
      EXPECT_EQ(tensor["format"], "q8_0");
    }
}

TEST_F(Cli, DryRunWritesNoModel) {
  EXPECT_EQ(fit("--bpw 4 --dry-run").exit_code, 0);
  for (const auto& entry : std::filesystem::directory_iterator{scratch_.path()})
    EXPECT_TRUE(entry.path().extension() != ".gguf" || entry.path().string().ends_with(".imatrix.gguf"));
}

TEST_F(Cli, ExitCodesAreAsDocumented) {
  EXPECT_EQ(snug("--help").exit_code, 0);
  EXPECT_EQ(snug("--version").exit_code, 0);
  EXPECT_EQ(snug("").exit_code, 2);
  EXPECT_EQ(snug("no-such-command").exit_code, 2);
  EXPECT_EQ(snug("fit").exit_code, 2);
  EXPECT_EQ(fit("--dry-run").exit_code, 2);                     // no budget
  EXPECT_EQ(fit("--size 1MB --bpw 4 --dry-run").exit_code, 2);  // two
  EXPECT_EQ(fit("--size eleven --dry-run").exit_code, 2);
  EXPECT_EQ(snug("fit no-such.gguf --bpw 4 --dry-run").exit_code, 5);
  EXPECT_EQ(snug("fit " + imatrix_ + " --bpw 4 --dry-run").exit_code, 1);  // an imatrix is no model
  EXPECT_EQ(fit("--size 10kB --dry-run").exit_code, 3);
  EXPECT_EQ(fit("--bpw 4 -o no-such-folder/out.gguf").exit_code, 5);
}

TEST_F(Cli, AnExistingOutputIsKeptWithoutForce) {
  std::ofstream{scratch_ / "out.gguf"} << "mine";
  const Outcome refused = fit("--bpw 4 -o out.gguf");
  EXPECT_EQ(refused.exit_code, 5);
  EXPECT_NE(refused.err.find("--force"), std::string::npos);
  EXPECT_EQ(contents(scratch_ / "out.gguf"), "mine");
  EXPECT_EQ(fit("--bpw 4 -o out.gguf --force").exit_code, 0);
  EXPECT_NE(contents(scratch_ / "out.gguf"), "mine");
}

TEST_F(Cli, AFullDiskIsToldAndLeavesNothingHalf) {
  ASSERT_EQ(fit("--bpw 4 --dry-run --state s").exit_code, 0);
  const Outcome outcome = fit("--bpw 4 -o out.gguf --state s", "ulimit -f 100;");
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  EXPECT_NE(outcome.err.find("room"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "out.gguf"));
  EXPECT_EQ(fit("--bpw 4 -o out.gguf --state s").exit_code, 0);
}

TEST_F(Cli, AFullDiskWhileMeasuringKeepsWhatIsSaved) {
  const std::string measure = "measure " + model_ + " --formats q2_K,q3_K,q4_K,q5_K,q6_K --state s";
  const Outcome full = snug(measure, "ulimit -f 8;");
  EXPECT_EQ(full.exit_code, 5) << full.err;
  const Outcome resumed = snug(measure + " --json");
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_GT(nlohmann::json::parse(resumed.out)["reused"].get<int>(), 0);
}

TEST_F(Cli, CtrlCSavesAndSaysHowToGoOn) {
  const Outcome stopped =
      interrupt("fit " + model_ + " --bpw 4 -o out.gguf --precision 0.0001 --effort max --state s",
                [&] { return exists("s"); });
  EXPECT_EQ(stopped.exit_code, 4) << stopped.err;
  EXPECT_NE(stopped.err.find("run the same command again"), std::string::npos) << stopped.err;
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "out.gguf"));
}

TEST_F(Cli, ASecondProcessOnTheSameStateIsTold) {
  const std::string measure = "measure " + model_ + " --state s --precision 0.0001 --effort max --quiet";
  snug(measure + " & while [ ! -s s ] && kill -0 $!; do sleep 0.01; done; '" SNUG_BINARY "' " + measure + " 2>second.err; echo $? >second.txt; kill -9 $!; wait $!");
  EXPECT_EQ(contents(scratch_ / "second.txt"), "5\n");
  EXPECT_NE(contents(scratch_ / "second.err").find("process"), std::string::npos) << contents(scratch_ / "second.err");
}

TEST_F(Cli, SpoiledModelsAreErrorsWithAPath) {
  const std::string whole = contents(model_);
  std::ofstream{scratch_ / "cut.gguf", std::ios::binary} << whole.substr(0, whole.size() / 2);
  const Outcome outcome = snug("fit cut.gguf --bpw 4 --dry-run");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("cut.gguf"), std::string::npos);
}

TEST_F(Cli, NotANumberIsToldWithTensorRowAndColumn) {
  std::string whole = contents(model_);
  for (size_t back = 512; back < 100'000; back += 512) whole.replace(whole.size() - back, 2, "\xff\x7f");
  std::ofstream{scratch_ / "nan.gguf", std::ios::binary} << whole;
  const Outcome outcome = snug("quantize nan.gguf --format q8_0 -o out.gguf");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("column"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "out.gguf"));
}

TEST_F(Cli, CompletionsAndTheManualKnowEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Outcome outcome = snug(std::string("completion ") + shell);
    EXPECT_EQ(outcome.exit_code, 0);
    for (const char* word : {"fit", "quantize", "merge", "pin"})
      EXPECT_NE(outcome.out.find(word), std::string::npos) << shell << " " << word;
  }
  ASSERT_EQ(snug("completion bash").exit_code, 0);
  EXPECT_EQ(std::system(("bash -n '" + (scratch_ / "out.txt").string() + "'").c_str()), 0);
  EXPECT_NE(snug("man").out.find(".SH NAME"), std::string::npos);
}

}  // namespace
}  // namespace snug

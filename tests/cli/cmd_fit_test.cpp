// Several sizes of one model in a call, names of outputs, and going on after a stop.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "cli/options/budgets.hpp"
#include "cli/run_program.hpp"
#include "snug/error.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

using test::Outcome;

class FitLadder : public test::RunProgram {
 protected:
  std::string fit(const std::string& more) const {
    return "fit " + model_ + " --imatrix " + imatrix_ +
           " --formats q2_K,q3_K,q4_K,q6_K --calib-chunks 2 --calib-ctx 32 " + more;
  }

  const std::string model_ = test::tiny_model().string(), imatrix_ = test::tiny_imatrix().string();
};

TEST_F(FitLadder, GivesTheBytesOfSingleFits) {
  const Outcome ladder = snug(fit("--state a --bpw 3,4,5 -o 'l-{bpw}.gguf' --recipe 'l-{label}.json' --json"));
  ASSERT_EQ(ladder.exit_code, 0) << ladder.err;
  const auto steps = nlohmann::json::parse(ladder.out)["steps"];
  ASSERT_EQ(steps.size(), 3u);
  for (const std::string bpw : {"3", "4", "5"}) {
    ASSERT_EQ(snug(fit("--state b --bpw " + bpw + " -o s.gguf --force")).exit_code, 0);
    EXPECT_EQ(contents("l-" + bpw + ".gguf"), contents("s.gguf")) << bpw;
    EXPECT_TRUE(exists("l-" + bpw + "bpw.json"));
  }
  EXPECT_EQ(steps[2]["label"], "5bpw");
  EXPECT_GT(steps[0]["recipe"]["measured"]["kl"], steps[2]["recipe"]["measured"]["kl"]);
}

TEST_F(FitLadder, KnowsAFolderWithASlashBehindItsNameAndWithout) {
  const std::string call = "fit " + model_ + " --no-probe --runtime mlx --bpw 6 -q --state s -o ";
  ASSERT_EQ(snug(call + "o/").exit_code, 0);
  const Outcome again = snug(call + "o");
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.out.find("known o"), std::string::npos) << again.out;
}

TEST_F(FitLadder, KnowsWhatIsFinishedAndWritesWhatIsMissing) {
  const std::string call = fit("--state s --size 900kB,1MB -o 'm-{size}.gguf'");
  ASSERT_EQ(snug(call).exit_code, 0);
  const std::string small = contents("m-900kB.gguf"), large = contents("m-1MB.gguf");
  std::filesystem::remove(scratch_ / "m-1MB.gguf");
  const auto written = std::filesystem::last_write_time(scratch_ / "m-900kB.gguf");
  const Outcome again = snug(call);
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.out.find("m-900kB.gguf (known)"), std::string::npos) << again.out;
  EXPECT_EQ(std::filesystem::last_write_time(scratch_ / "m-900kB.gguf"), written);
  EXPECT_EQ(contents("m-1MB.gguf"), large);
  EXPECT_NE(again.err.find("measuring: known"), std::string::npos) << again.err;

  // A changed byte makes it somebody else's file.
  std::string changed = small;
  changed.back() = static_cast<char>(changed.back() ^ 1);
  write("m-900kB.gguf", changed);
  EXPECT_EQ(snug(call).exit_code, 5);
  EXPECT_EQ(contents("m-900kB.gguf"), changed);
  ASSERT_EQ(snug(call + " --force").exit_code, 0);
  EXPECT_EQ(contents("m-900kB.gguf"), small);
}

TEST_F(FitLadder, ChecksEveryOutputBeforeTheWork) {
  write("m-4.gguf", "mine");
  const Outcome exists_already = snug(fit("--state new --bpw 3,4 -o 'm-{bpw}.gguf'"));
  EXPECT_EQ(exists_already.exit_code, 5);
  EXPECT_NE(exists_already.err.find("m-4.gguf"), std::string::npos);
  EXPECT_EQ(snug(fit("--state new --bpw 3,4 -o m.gguf")).exit_code, 2);
  EXPECT_NE(snug(fit("--state new --bpw 3,4 -o m.gguf")).err.find("{label}"), std::string::npos);
  EXPECT_EQ(snug(fit("--state new --bpw 3,0.1 -o 'n-{bpw}.gguf'")).exit_code, 3);
  EXPECT_EQ(snug(fit("--state new --bpw 3,3 -o 'n-{bpw}.gguf'")).exit_code, 2);
  EXPECT_EQ(snug(fit("--state new --bpw 3 -o 'n-{size}.gguf'")).exit_code, 2);
  EXPECT_FALSE(exists("n-3.gguf"));
}

TEST_F(FitLadder, NamesAnOutputThatNobodyNamedAndSaysSoFirst) {
  const Outcome outcome = snug(fit("--state s --bpw 4"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(exists("tiny-4bpw.gguf"));
  EXPECT_TRUE(outcome.err.starts_with("output: tiny-4bpw.gguf")) << outcome.err;
  EXPECT_NE(outcome.err.find("total "), std::string::npos);
}

/// The path in "measurements: PATH, 1,100 known".
std::string measurements_of(const Outcome& outcome) {
  const std::string start = "measurements: ";
  const size_t begin = outcome.err.find(start);
  if (begin == std::string::npos) return outcome.err;
  return outcome.err.substr(begin + start.size(), outcome.err.find(", ", begin) - begin - start.size());
}

TEST_F(FitLadder, FindsMeasurementsByWhatTheModelHolds) {
  const std::string options = " --formats q2_K,q4_K --no-probe --bpw 3 ";
  const Outcome first = snug("plan " + model_ + options);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_NE(first.err.find("none yet"), std::string::npos) << first.err;
  EXPECT_NE(measurements_of(first).find("/measurements/"), std::string::npos) << first.err;

  std::filesystem::create_directory(scratch_ / "elsewhere");
  write("elsewhere/renamed.gguf", contents(model_));
  const Outcome second = snug("fit elsewhere/renamed.gguf -o elsewhere/out.gguf" + options);
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(measurements_of(second), measurements_of(first));
  EXPECT_NE(second.err.find(" known"), std::string::npos) << second.err;
  EXPECT_NE(second.err.find("measuring: known"), std::string::npos) << second.err;
}

TEST_F(FitLadder, AStateOfAnEarlierVersionStaysInUse) {
  const std::string options = " --formats q2_K,q4_K --no-probe --bpw 3 ";
  ASSERT_EQ(snug("plan " + model_ + options + "--state tiny-f16.snug-state").exit_code, 0);
  const Outcome outcome = snug("plan " + model_ + options);
  EXPECT_TRUE(measurements_of(outcome).ends_with("./tiny-f16.snug-state")) << outcome.err;
  EXPECT_NE(outcome.err.find("measuring: known"), std::string::npos) << outcome.err;
}

TEST_F(FitLadder, SaysBeforeWhatItTakes) {
  const Outcome alone = snug(fit("--state s --bpw 3,4 -o 'm-{bpw}.gguf' --estimate"));
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  for (const char* word : {"stages: ", "measuring", "writing", "about ", "memory"})
    EXPECT_NE(alone.out.find(word), std::string::npos) << word << alone.out;
  EXPECT_FALSE(exists("s"));
  EXPECT_FALSE(exists("m-3.gguf"));
  const Outcome whole = snug(fit("--state s --bpw 3,4 -o 'm-{bpw}.gguf'"));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_LT(whole.err.find("stages: "), whole.err.find("measurements: "));
  const Outcome later = snug(fit("--state s --bpw 5 -o m-5.gguf --estimate"));
  EXPECT_NE(later.out.find("measuring (done before)"), std::string::npos) << later.out;
}

TEST_F(FitLadder, TellsNobodyOfTheMachineItRanOn) {
  ASSERT_NE(contents(imatrix_).find("/calib.txt"), std::string::npos);  // a path is in the imatrix
  ASSERT_EQ(snug(fit("--state s --bpw 4 -o out.gguf")).exit_code, 0);
  const std::string file = contents("out.gguf");
  EXPECT_NE(file.find("calib.txt"), std::string::npos);
  for (const std::string& path : {std::string{"/calib.txt"}, scratch_.path().string(), test::tiny_model().parent_path().string()})
    EXPECT_EQ(file.find(path), std::string::npos) << path;
}

TEST_F(FitLadder, WritesIntoTheFileHowItWasMadeAndWhatWasMeasured) {
  const Outcome made = snug(fit("--state s --size 1MB -o out.gguf --recipe out.json --gptq off"));
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_LE(contents("out.gguf").size(), 1'000'000u);
  auto told = nlohmann::json::parse(contents("out.json"));
  EXPECT_EQ(told["size"]["file_bytes"], contents("out.gguf").size());
  EXPECT_EQ(told["measured"]["text"], "text the model wrote");
  ASSERT_EQ(snug("export out.gguf --to json -o read.json").exit_code, 0);
  auto read = nlohmann::json::parse(contents("read.json"));
  for (auto* recipe : {&told, &read}) recipe->erase("left_out");
  for (size_t i = 0; i < told["tensors"].size(); ++i) {
    ASSERT_NEAR(told["tensors"][i]["loss"].get<double>(), read["tensors"][i]["loss"].get<double>(), 1e-6);
    for (auto* recipe : {&told, &read})
      for (const char* only_there : {"loss", "unweighted"}) (*recipe)["tensors"][i].erase(only_there);
  }
  EXPECT_EQ(told, read);
  ASSERT_EQ(snug("quantize " + model_ + " --imatrix " + imatrix_ + " --recipe out.gguf -o again.gguf").exit_code, 0);
  EXPECT_EQ(contents("again.gguf"), contents("out.gguf"));
}

TEST(OutputName, PutsTheBudgetIn) {
  const auto sizes = cli::named_budgets({"1GB", "11GiB"}, {});
  EXPECT_EQ(cli::output_name("m-{size}.gguf", sizes[0]), "m-1GB.gguf");
  EXPECT_EQ(cli::output_name("{label}/m-{label}.gguf", sizes[1]), "11GiB/m-11GiB.gguf");
  EXPECT_EQ(cli::output_name("plain", sizes[1]), "plain");
  const auto bpws = cli::named_budgets({}, {"3.50"});
  EXPECT_EQ(cli::output_name("m-{bpw}-{label}", bpws[0]), "m-3.50-3.50bpw");
  EXPECT_THROW(cli::output_name("m-{size}", bpws[0]), Error);
  EXPECT_THROW(cli::output_name("m-{bwp}", bpws[0]), Error);
  EXPECT_THROW(cli::output_names("m", sizes), Error);
}

TEST(OutputName, OfNoneLosesTheMarkOfTheSource) {
  const auto budget = cli::named_budgets({}, {"4.25"}).front();
  for (const char* model : {"dense-f16.gguf", "/models/dense.BF16.gguf", "dense", "some/dense/", "dense-F32.gguf"})
    EXPECT_EQ(cli::default_output(model, budget), "dense-4.25bpw.gguf") << model;
  EXPECT_EQ(cli::default_output("f16.gguf", budget), "f16-4.25bpw.gguf");
  EXPECT_EQ(cli::default_output("./gemma-4-26b-a4b-it", budget, "mlx"), "gemma-4-26b-a4b-it-4.25bpw-mlx");
}

}  // namespace
}  // namespace snug

// What is kept, how far it is, and what is said once for all calls: measurements, status, configuration.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/options/config_file.hpp"
#include "cli/run_program.hpp"
#include "snug/error.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

using nlohmann::json;
using test::Outcome;

class Daily : public test::RunProgram {
 protected:
  std::string fit(const std::string& more) const {
    return "fit " + test::tiny_model().string() + " --imatrix " + test::tiny_imatrix().string() +
           " --formats q2_K,q4_K,q6_K --calib-chunks 2 --calib-ctx 32 --gptq off " + more;
  }
};

TEST_F(Daily, StatusTellsOfAFitThatIsOver) {
  EXPECT_EQ(snug("status").out, "nothing has worked here yet\n");
  ASSERT_EQ(snug(fit("--bpw 4,5 -o 'm-{bpw}.gguf'")).exit_code, 0);
  const Outcome one = snug("status " + test::tiny_model().string() + " --json"), all = snug("status --json");
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(one.out, all.out);
  const json job = json::parse(one.out)["jobs"][0];
  EXPECT_EQ(job["phase"], "finished");
  EXPECT_EQ(job["overall"], 1.0);
  EXPECT_EQ(job["size"], 2);
  EXPECT_EQ(job["output"], "m-5.gguf");
  EXPECT_EQ(snug("status nowhere").exit_code, 1);
}

TEST_F(Daily, StatusTellsOfAFitThatWasKilled) {
  ASSERT_EQ(snug(fit("--bpw 4 -o a.gguf --state s")).exit_code, 0);
  std::string status = contents("s.status");
  const size_t phase = status.find("phase finished"), process = status.find("\nprocess ");
  status.replace(process, status.find('\n', process + 1) - process, "\nprocess 99999999");
  status.replace(phase, 14, "phase running");
  write("s.status", status);
  const Outcome told = snug("status s");
  EXPECT_NE(told.out.find("killed"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("goes on where it was"), std::string::npos) << told.out;
}

TEST_F(Daily, AFitThatWasStoppedKnowsWhatIsBehindIt) {
  const std::string slow = "fit " + test::tiny_model().string() + " --bpw 4 --calib-chunks 24 --calib-ctx 128 -o a.gguf";
  const auto is_probing = [&] { return contents("err.txt").find("measuring done") != std::string::npos; };
  ASSERT_EQ(interrupt(slow, is_probing).exit_code, 4);
  const std::string estimate = snug(slow + " --estimate").out;
  EXPECT_NE(estimate.find("measuring (done before)"), std::string::npos) << estimate;
  EXPECT_EQ(estimate.find("probing (done before)"), std::string::npos) << estimate;
}

TEST_F(Daily, StatusTellsOfOtherLongWorkToo) {
  const std::string model = test::tiny_model().string();
  ASSERT_EQ(snug("quantize " + model + " --format q6_K -o q.gguf").exit_code, 0);
  write("tokens.txt", "1 5 9 7 3 2 8 4 6 11 12 13 14 15 16 17 18 19 20 21");
  ASSERT_EQ(snug("eval q.gguf --ctx 8 --token-file tokens.txt").exit_code, 0);
  ASSERT_EQ(snug("measure " + model + " --formats q8_0 --no-probe --shard 0/2 --state s").exit_code, 0);
  ASSERT_EQ(snug("convert " + model + " -o c.gguf").exit_code, 0);
  ASSERT_NE(snug("imatrix " + model + " --calib self --self-tokens 64 --chunk 32 -o /dev/full --force").exit_code, 0);
  std::map<std::string, json> jobs;
  const json status = json::parse(snug("status --json").out);
  for (const json& job : status["jobs"]) jobs[job["command"]] = job;
  ASSERT_EQ(jobs.size(), 4u) << snug("status").out;
  for (const char* command : {"quantize", "eval", "measure", "convert"}) {
    EXPECT_EQ(jobs[command]["phase"], "finished") << command;
    EXPECT_EQ(jobs[command]["state"], nullptr);
  }
  EXPECT_EQ(jobs["quantize"]["output"], "q.gguf");
  EXPECT_EQ(jobs["measure"]["output"], "s, part 0/2");
  EXPECT_EQ(json::parse(snug("status q.gguf --json").out)["jobs"].size(), 1u);
  EXPECT_EQ(json::parse(snug("status " + model + " --json").out)["jobs"].size(), 3u);
}

TEST_F(Daily, StatusTellsOfWorkThatIsUnderWay) {
  std::string seen;
  const auto is_seen = [&] {
    seen = snug_beside("status").out;
    return seen.starts_with("imatrix: running") && seen.find("writing calibration text, ") != std::string::npos;
  };
  const Outcome stopped =
      interrupt("imatrix " + test::tiny_model().string() + " --calib self --self-tokens 100000 -o i.gguf", is_seen);
  EXPECT_NE(stopped.exit_code, 0);
  EXPECT_NE(seen.find("writing calibration text, "), std::string::npos) << seen;
  const std::string after = snug("status").out;
  EXPECT_TRUE(after.starts_with("imatrix: stopped")) << after;
  EXPECT_NE(after.find("interrupted"), std::string::npos) << after;
}

TEST_F(Daily, JudgingIsAStageOfItsOwn) {
  const Outcome made = snug(fit("--bpw 4 -o a.gguf"));
  ASSERT_EQ(made.exit_code, 0);
  EXPECT_NE(made.err.find("judging done in"), std::string::npos) << made.err;
}

TEST_F(Daily, CorrectingIsSaidToBeKnownWhereItIs) {
  const std::string again = fit("--bpw 4 -o a.gguf --force");
  EXPECT_NE(snug(again).err.find("correcting, there and back done in"), std::string::npos);
  EXPECT_NE(snug(again).err.find("correcting, there and back: known"), std::string::npos);
}

TEST_F(Daily, MeasurementsAreListedAndCleaned) {
  EXPECT_NE(snug("measurements list").out.find("nothing yet"), std::string::npos);
  ASSERT_EQ(snug(fit("--bpw 4 -o a.gguf")).exit_code, 0);
  const json list = json::parse(snug("measurements list --json").out);
  ASSERT_EQ(list["models"].size(), 1u);
  const std::string name = list["models"][0]["model"];
  EXPECT_TRUE(test::tiny_model().stem() == name) << name;
  EXPECT_EQ(snug("measurements clean").exit_code, 2);
  EXPECT_EQ(snug("measurements clean " + name + "x").exit_code, 2);
  EXPECT_EQ(snug("measurements clean --unused 1").out, "nothing to remove\n");
  EXPECT_NE(snug("measurements clean --all --dry-run").out.find("would remove"), std::string::npos);
  EXPECT_EQ(json::parse(snug("measurements list --json").out), list);
  ASSERT_EQ(snug("measurements clean " + name).exit_code, 0);
  EXPECT_TRUE(json::parse(snug("measurements list --json").out)["models"].empty());
  EXPECT_TRUE(exists("a.gguf"));
}

TEST_F(Daily, TheConfigurationFileCountsLessThanAnOption) {
  std::filesystem::create_directories(scratch_ / "config/snug");
  write("config/snug/config", "# where\nthreads = 99999\n");
  const Outcome wrong = snug(fit("--bpw 4 --dry-run"));
  EXPECT_EQ(wrong.exit_code, 2) << wrong.err;
  EXPECT_EQ(snug(fit("--bpw 4 --dry-run --threads 1")).exit_code, 0);
  write("config/snug/config", "thread = 1\n");
  const Outcome unknown = snug("version");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("config/snug/config, line 1"), std::string::npos) << unknown.err;
  EXPECT_NE(unknown.err.find("threads"), std::string::npos) << unknown.err;
}

TEST_F(Daily, ASettingThatIsNeitherTrueNorFalseIsNamed) {
  std::filesystem::create_directories(scratch_ / "config/snug");
  write("config/snug/config", "quiet = perhaps\n");
  const Outcome perhaps = snug(fit("--bpw 4 --dry-run"));
  EXPECT_EQ(perhaps.exit_code, 2) << perhaps.err;
  EXPECT_NE(perhaps.err.find("'perhaps'"), std::string::npos) << perhaps.err;
  EXPECT_NE(perhaps.err.find("`quiet` in the settings"), std::string::npos) << perhaps.err;
  write("config/snug/config", "quiet = yes\n");
  EXPECT_EQ(snug(fit("--bpw 4 --dry-run")).err.find("stages: "), std::string::npos);
  write("config/snug/config", "quiet = off\n");
  EXPECT_NE(snug(fit("--bpw 4 --dry-run")).err.find("stages: "), std::string::npos);
}

TEST(ConfigFile, SetsWhatTheEnvironmentDoesNot) {
  setenv("SNUG_MEMORY", "1GB", 1);
  unsetenv("SNUG_QUIET");
  cli::take_config("memory = 8GB  # more\n\n  quiet=true\n", "here");
  EXPECT_STREQ(getenv("SNUG_MEMORY"), "1GB");
  EXPECT_STREQ(getenv("SNUG_QUIET"), "true");
  unsetenv("SNUG_MEMORY");
  unsetenv("SNUG_QUIET");
  EXPECT_THROW(cli::take_config("memory =\n", "here"), Error);
  EXPECT_THROW(cli::take_config("isa = avx2\n", "here"), Error);
}

}  // namespace
}  // namespace snug

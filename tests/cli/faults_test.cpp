// What goes wrong around the program: outputs that would destroy something, files that are something else,
// names that are not UTF-8, descriptors and signals. Nothing is lost, and what can be known beforehand is
// said before the work.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/run_program.hpp"
#include "support/gguf_bytes.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;
using test::Outcome;

class Faults : public test::RunProgram {
 protected:
  Faults() {
    write("model.gguf", contents(test::tiny_model()));
    write("im.gguf", contents(test::tiny_imatrix()));
  }

  /// Refused with that exit code, and no state was made: nothing was measured before.
  void expect_refused_at_once(const std::string& command, int exit_code) {
    fs::remove(scratch_ / "new.state");
    const Outcome outcome = snug(command + " --state new.state");
    EXPECT_EQ(outcome.exit_code, exit_code) << command << "\n" << outcome.err;
    EXPECT_FALSE(exists("new.state")) << command;
  }
  static std::string with(const std::string& command, const std::string& file) { return command + file; }
  bool is_state(const std::string& name) const { return contents(name).substr(1, 4) == "SNUG"; }

  const std::string measure_ = "measure model.gguf --no-probe --formats q8_0",
                    plan_ = "plan model.gguf --no-probe --formats q8_0,q4_0 --bpw 8",
                    fit_ = "fit model.gguf --no-probe --formats q8_0,q4_0 --bpw 8 --feedback off";
};

TEST_F(Faults, NoOutputReplacesAnInputByAnyName) {
  fs::create_hard_link(scratch_ / "model.gguf", scratch_ / "hard.gguf");
  fs::create_symlink("im.gguf", scratch_ / "soft.gguf");
  const std::string model = contents("model.gguf"), imatrix = contents("im.gguf");
  for (const std::string& command :
       {measure_ + " --force --profile model.gguf", measure_ + " --force --profile hard.gguf",
        measure_ + " --imatrix im.gguf --force --profile soft.gguf",
        plan_ + " --force --certificate hard.gguf", fit_ + " --force -o out.gguf --recipe hard.gguf",
        fit_ + " --imatrix im.gguf --force -o soft.gguf"})
    expect_refused_at_once(command, 2);
  for (const std::string command : {"imatrix --merge im.gguf soft.gguf -o im.gguf --force",
                                    "measure model.gguf --no-probe --state hard.gguf",
                                    "codec encode q8_0 model.gguf hard.gguf --cols 32 --force",
                                    "eval model.gguf -f im.gguf --save-logits soft.gguf --force",
                                    "imatrix model.gguf -f im.gguf -o soft.gguf --force"})
    EXPECT_EQ(snug(command).exit_code, 2) << command;
  EXPECT_EQ(contents("model.gguf"), model);
  EXPECT_EQ(contents("im.gguf"), imatrix);
}

TEST_F(Faults, NoOutputReplacesTheStateOrAnotherOutput) {
  ASSERT_EQ(snug(measure_ + " --state s.state").exit_code, 0);
  const std::string state = contents("s.state");
  for (const std::string& command :
       {measure_ + " --force --state s.state --profile s.state",
        plan_ + " --force --state s.state -o s.state", fit_ + " --force --state s.state -o s.state",
        fit_ + " --force --state s.state -o out.gguf --recipe s.state",
        fit_ + " --force -o out.gguf --recipe ./out.gguf", plan_ + " --force -o r.json --certificate r.json"})
    EXPECT_EQ(snug(command).exit_code, 2) << command;
  EXPECT_EQ(contents("s.state"), state);
  ASSERT_EQ(snug(plan_ + " -o r.json --state s.snug-state").exit_code, 0);
  EXPECT_EQ(snug("report r.json -o s.snug-state --force").exit_code, 2);
  EXPECT_TRUE(is_state("s.snug-state"));
}

TEST_F(Faults, ASplitReplacesNoInput) {
  const std::string model = contents("model.gguf");
  write("out-00001-of-00009.gguf", model);
  EXPECT_EQ(snug("fit out-00001-of-00009.gguf --no-probe --formats q8_0 --bpw 9 --split-size 300KB -o "
                 "out.gguf --force")
                .exit_code,
            2);
  EXPECT_EQ(contents("out-00001-of-00009.gguf"), model);
  expect_refused_at_once(fit_ + " --split-size 300KB -o out.gguf", 5);
}

TEST_F(Faults, WhatCannotBeWrittenIsSaidBeforeMeasuring) {
  write("mine.json", "{}");
  fs::create_symlink("nowhere/out", scratch_ / "dangling");
  ASSERT_EQ(mkfifo((scratch_ / "pipe").c_str(), 0600), 0);
  for (const std::string& command :
       {fit_ + " -o out.gguf --recipe nowhere/r.json", fit_ + " -o out.gguf --recipe mine.json",
        fit_ + " -o dangling", fit_ + " -o pipe --force", fit_ + " -o nowhere/out.gguf",
        fit_ + " -o . --force", plan_ + " -o mine.json", plan_ + " --certificate nowhere/c.json",
        measure_ + " --profile mine.json", measure_ + " --profile pipe --force",
        fit_ + " -o out.gguf --recipe /dev/full --force"})
    expect_refused_at_once(command, 5);
  EXPECT_EQ(contents("mine.json"), "{}");
  EXPECT_TRUE(fs::is_fifo(scratch_ / "pipe"));
}

TEST_F(Faults, StoppedBetweenRecipeAndModelAFitGoesOn) {
  const std::string fit = fit_ + " --state s.state -o o.gguf --recipe r.json";
  EXPECT_EQ(snug(fit, "ulimit -f 100;").exit_code, 5);  // blocks: room for the recipe, not for the model
  ASSERT_TRUE(exists("r.json"));
  ASSERT_FALSE(exists("o.gguf"));
  const std::string recipe = contents("r.json");
  const Outcome again = snug(fit);
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(contents("r.json"), recipe);
  fs::remove(scratch_ / "o.gguf");
  EXPECT_EQ(snug(fit).exit_code, 5);  // the recipe of a fit that ended is replaced no more
  write("r.json", recipe + " ");
  EXPECT_EQ(snug(fit).exit_code, 5);
  EXPECT_EQ(contents("r.json"), recipe + " ");
}

TEST_F(Faults, AProfileIsWrittenLastSoThatMeasuringGoesOn) {
  write("text.txt", "a");  // too short to check recipes on: an error behind the measuring
  const std::string command = measure_ + " --state s.state --profile p.json --check 3";
  for (int i = 0; i < 2; ++i) EXPECT_EQ(snug(command).exit_code, 2);
  EXPECT_FALSE(exists("p.json"));
}

TEST_F(Faults, AFileForEveryTensorNeedsManyOpenFiles) {
  const Outcome outcome = snug(fit_ + " --split-size 1 -o o.gguf --state new.state", "ulimit -n 16;");
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  EXPECT_NE(outcome.err.find("ulimit -n"), std::string::npos) << outcome.err;
  EXPECT_FALSE(exists("new.state"));
}

TEST_F(Faults, TheModelIsWrittenWhereALinkPoints) {
  fs::create_directory(scratch_ / "disk");
  fs::create_symlink("disk/out.gguf", scratch_ / "out.gguf");
  ASSERT_EQ(snug("quantize model.gguf --format q8_0 -o out.gguf").exit_code, 0);
  EXPECT_TRUE(fs::is_symlink(scratch_ / "out.gguf"));
  const auto size = fs::file_size(scratch_ / "disk/out.gguf");
  ASSERT_EQ(snug("quantize model.gguf --format q4_0 -o out.gguf --force").exit_code, 0);
  EXPECT_TRUE(fs::is_symlink(scratch_ / "out.gguf"));
  EXPECT_LT(fs::file_size(scratch_ / "disk/out.gguf"), size);
}

TEST_F(Faults, RewritingAStoreFollowsNoPlantedLinkAndKeepsItsMode) {
  ASSERT_EQ(snug(measure_ + " --state s.state").exit_code, 0);
  write("victim", "precious");
  for (const char* name : {"s.state.part", "s.state.snug-part-000001"})
    fs::create_symlink("victim", scratch_ / name);
  fs::permissions(scratch_ / "s.state", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("s.state", scratch_ / "link.state");
  ASSERT_EQ(snug("state compact link.state").exit_code, 0);
  EXPECT_EQ(contents("victim"), "precious");
  EXPECT_TRUE(fs::is_symlink(scratch_ / "link.state"));
  EXPECT_EQ(fs::status(scratch_ / "s.state").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(snug("state verify s.state").exit_code, 0);
  ASSERT_EQ(snug(measure_ + " --state p.state --profile p.json", "umask 077;").exit_code, 0);
  for (const char* name : {"p.state", "p.json"})
    EXPECT_EQ(fs::status(scratch_ / name).permissions(), fs::perms::owner_read | fs::perms::owner_write)
        << name;
}

TEST_F(Faults, EveryCommandNamesAForeignFileForWhatItIs) {
  write("pointer.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
  write("page.gguf", "<!doctype html><html>404</html>");
  const std::string header = R"({"__metadata__":{"format":"pt"}})";
  write("tensors.gguf", std::string{static_cast<char>(header.size())} + std::string(7, '\0') + header);
  fs::create_directory(scratch_ / "folder.gguf");
  write("text.txt", "a");
  const std::pair<const char*, const char*> files[] = {{"pointer.gguf", "Git LFS"},
                                                       {"page.gguf", "web page"},
                                                       {"tensors.gguf", "safetensors"},
                                                       {"folder.gguf", "this is a folder"}};
  for (const auto& [file, what] : files)
    for (const std::string& command :
         {with("inspect ", file), with("fit ", file) + " --bpw 4 -o o.gguf", with("measure ", file),
          with("plan ", file) + " --bpw 4", with("quantize ", file) + " --format q8_0 -o o.gguf",
          with("eval ", file) + " -f text.txt", with("run ", file) + " -p a",
          with("imatrix ", file) + " -f text.txt -o o.gguf", with("tokenize ", file) + " text.txt",
          with("bench ", file), with("report ", file) + " --json"}) {
      const Outcome outcome = snug(command);
      EXPECT_EQ(outcome.exit_code, 1) << command << outcome.err;
      EXPECT_NE(outcome.err.find(what), std::string::npos) << command << "\n" << outcome.err;
    }
  for (const std::string command :
       {"state show pointer.gguf", "export pointer.gguf --to csv",
        "measure model.gguf --imatrix pointer.gguf", "imatrix model.gguf -f pointer.gguf -o o.gguf",
        "eval model.gguf --base-logits pointer.gguf"}) {
    const Outcome outcome = snug(command);
    EXPECT_NE(outcome.exit_code, 0) << command;
    EXPECT_NE(outcome.err.find("Git LFS"), std::string::npos) << command << "\n" << outcome.err;
  }
}

TEST_F(Faults, NothingWaitsForAPipeInTheWayOfAFile) {
  for (const char* pipe : {"pipe", "s.state.status"}) ASSERT_EQ(mkfifo((scratch_ / pipe).c_str(), 0600), 0);
  write("text.txt", "a");
  for (const std::string& command :
       {std::string{"inspect pipe"}, std::string{"fit pipe --bpw 4 -o o.gguf"}, measure_ + " --imatrix pipe",
        std::string{"quantize model.gguf --recipe pipe -o o.gguf"}, std::string{"convert pipe -o o.gguf"},
        std::string{"eval model.gguf --base-logits pipe"}, std::string{"export pipe --to csv"}, std::string{"audit pipe"},
        std::string{"report pipe --json"}, std::string{"status pipe"}, std::string{"inspect /dev/zero"}}) {
    const Outcome outcome = snug(command, "timeout 20");
    EXPECT_EQ(outcome.exit_code, 5) << command << outcome.err;
    EXPECT_NE(outcome.err.find("not a regular file"), std::string::npos) << command << outcome.err;
  }
  ASSERT_EQ(snug(measure_ + " --state s.state").exit_code, 0);
  EXPECT_EQ(snug("status s.state", "timeout 20").exit_code, 1);  // a pipe is no status
  EXPECT_EQ(snug("tokenize model.gguf pipe", "echo a >pipe & timeout 20").exit_code,
            snug("tokenize model.gguf text.txt").exit_code);  // a text may come out of one
}

TEST_F(Faults, EveryErrorSaysHowToMendIt) {
  ASSERT_EQ(snug(plan_ + " -o r.json").exit_code, 0);
  const std::string recipe = contents("r.json");
  for (const auto& [from, to] : {std::pair{"\"tensor_bytes\": ", "\"tensor_bytes\": -"}, {"\"snug_recipe\": 1", "\"snug_recipe\": 9"},
                                 {"\"effort\": \"normal\"", "\"effort\": 1"}, {"\"name\"", "\"nome\""}}) {
    std::string changed = recipe;
    ASSERT_NE(changed.find(from), std::string::npos) << from;
    changed.replace(changed.find(from), std::string{from}.size(), to);
    write("changed.json", changed);
    for (const char* command : {"inspect changed.json", "export changed.json --to csv", "report changed.json --csv",
                                "quantize model.gguf --recipe changed.json -o o.gguf"}) {
      const Outcome outcome = snug(command);
      EXPECT_EQ(outcome.exit_code, 1) << command << to << outcome.err;
      EXPECT_NE(outcome.err.find("where: changed.json"), std::string::npos) << command << to << outcome.err;
      EXPECT_NE(outcome.err.find("try:"), std::string::npos) << command << to << outcome.err;
    }
  }
}

TEST_F(Faults, AWeightThatIsNoNumberIsNamedBeforeTheWork) {
  std::vector<float> values(64 * 300, 0.25f);
  values[200 * 64 + 5] = NAN;
  test::GgufBytes{}
      .key("general.architecture", "llama")
      .f32("blk.0.ffn_up.weight", {64, 300}, values)
      .save(scratch_ / "nan.gguf");
  for (const std::string command :
       {"measure nan.gguf --no-probe --state s.state", "plan nan.gguf --no-probe --bpw 9 --state s.state",
        "fit nan.gguf --no-probe --bpw 9 -o o.gguf --state s.state",
        "quantize nan.gguf --format f16 -o o.gguf"}) {
    const Outcome outcome = snug(command);
    EXPECT_EQ(outcome.exit_code, 1) << command << outcome.err;
    for (const char* part : {"nan.gguf", "blk.0.ffn_up.weight", "row 200, column 5"})
      EXPECT_NE(outcome.err.find(part), std::string::npos) << command << "\n" << outcome.err;
  }
  EXPECT_NE(snug("state show s.state").out.find(" 0 records"), std::string::npos);
}

TEST_F(Faults, NamesThatAreNotUtf8) {
  test::GgufBytes{}
      .f32("blk.0.ffn_\xff.weight", {32, 4}, std::vector<float>(128))
      .save(scratch_ / "name.gguf");
  for (const std::string command : {"measure name.gguf --no-probe", "inspect name.gguf"}) {
    const Outcome outcome = snug(command);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_NE(outcome.err.find("blk.0.ffn_\\xff.weight' is not UTF-8"), std::string::npos) << outcome.err;
  }
  for (const std::string& command :
       {measure_ + " --state 's\xff.state' --json", fit_ + " --state 's\xff.state' -o 'o\xff.gguf' --json",
        std::string{"state show 's\xff.state' --json"}, std::string{"inspect 'o\xff.gguf' --json"}}) {
    const Outcome outcome = snug(command);
    EXPECT_EQ(outcome.exit_code, 0) << command << outcome.err;
    EXPECT_FALSE(nlohmann::json::parse(outcome.out, nullptr, false).is_discarded()) << command;
  }
}

TEST_F(Faults, PatternsOfAnyKindEndQuickly) {
  for (const std::string pin :
       {"'(.*)*(.*)*(.*)*(.*)*x=q8_0'", "\"$(printf '(a|%.0s' $(seq 20000))=q8_0\"", "'(=q8_0'"}) {
    const Outcome outcome = snug(plan_ + " --pin " + pin);
    EXPECT_EQ(outcome.exit_code, 2) << pin << outcome.err;
  }
  EXPECT_EQ(snug(plan_ + " --group nothing_like_it").exit_code, 2);
}

TEST_F(Faults, ProgressIsNeverWrittenIntoAFile) {
  const std::string rest = " -o o.gguf --state s.state --recipe r.json";
  ASSERT_EQ(snug(fit_ + rest + " 2>&-").exit_code, 0);
  EXPECT_EQ(snug("state verify s.state").exit_code, 0);
  EXPECT_EQ(snug("inspect r.json").exit_code, 0);
  EXPECT_EQ(snug("inspect model.gguf >&-").exit_code, 5);
}

TEST_F(Faults, SignalsHaveTheirExitCodes) {
  snug("inspect model.gguf --json; echo $? >code.txt) | (exec <&-", "sleep 0.5;");
  EXPECT_EQ(contents("code.txt"), "5\n");
  EXPECT_EQ(interrupt("imatrix model.gguf --calib self --self-tokens 100000 -o o.gguf", {}, SIGHUP).exit_code,
            4);
}

}  // namespace
}  // namespace snug

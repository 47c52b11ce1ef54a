// snug run, tokenize and eval as a person or a script meets them: what is said, exit codes, and what bad
// input does.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/run_program.hpp"
#include "infer/tiny_llama.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

using nlohmann::json;

class RunCli : public test::RunProgram {
 protected:
  const std::string model_ = test::tiny_model().string();
  const std::string greedy_ = "run " + model_ + " --greedy -q ";
};

TEST_F(RunCli, APromptGoesOnTheSameWayEachTime) {
  const test::Outcome first = snug(greedy_ + "-p 'Once upon a time' -n 12");
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_TRUE(first.out.starts_with("Once upon a time")) << first.out;
  EXPECT_TRUE(first.out.ends_with("\n"));
  EXPECT_EQ(snug(greedy_ + "-p 'Once upon a time' -n 12").out, first.out);
  EXPECT_EQ(first.err, "");
}

TEST_F(RunCli, JsonIsOneDocumentWithTheText) {
  const test::Outcome outcome = snug(greedy_ + "-p 'Once upon a time' -n 5 --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json found = json::parse(outcome.out);
  EXPECT_EQ(found["tokens"].size(), 5u);
  EXPECT_EQ(found["ended"], "length");
}

TEST_F(RunCli, ASeedGivesItsText) {
  const std::string say = "run " + model_ + " -q -p Once -n 16 --temp 1.5 --seed ";
  const std::string first = snug(say + "7").out;
  EXPECT_EQ(snug(say + "7").out, first);
  EXPECT_NE(snug(say + "8").out, first);
}

TEST_F(RunCli, AStopIsNotShown) {
  const std::string whole = json::parse(snug(greedy_ + "-p 'Once upon a time' -n 20 --json").out)["text"];
  const std::string stop = whole.substr(whole.size() / 2, 4);
  const test::Outcome cut = snug(greedy_ + "-p 'Once upon a time' -n 20 --json --stop '" + stop + "'");
  const json found = json::parse(cut.out);
  EXPECT_EQ(found["text"], whole.substr(0, whole.find(stop)));
  EXPECT_EQ(found["ended"], "stop");
}

TEST_F(RunCli, ChatAnswersOncePerLineOrPrompt) {
  EXPECT_EQ(snug(greedy_ + "--chat -n 4 -p Hello").exit_code, 0);
  const test::Outcome turns = snug(greedy_ + "--chat -n 4", "printf 'Hello\\nAnd now?\\n' |");
  EXPECT_EQ(turns.exit_code, 0) << turns.err;
  EXPECT_GE(std::ranges::count(turns.out, '\n'), 2);
  EXPECT_EQ(snug(greedy_ + "--chat --form nonsense -n 4 -p Hello").exit_code, 2);
}

TEST_F(RunCli, PromptsThatCannotBeAreToldSo) {
  EXPECT_EQ(snug(greedy_ + "-n 4").exit_code, 2) << "no prompt";
  const test::Outcome longer = snug(greedy_ + "-p Once -n 4 --ctx 100000");
  EXPECT_EQ(longer.exit_code, 2);
  EXPECT_NE(longer.err.find("trained for"), std::string::npos) << longer.err;
  write("long.txt", std::string(6000, 'x'));
  const test::Outcome full = snug(greedy_ + "-f long.txt -n 4");
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_NE(full.err.find("context"), std::string::npos) << full.err;
  EXPECT_EQ(snug(greedy_ + "-f missing.txt -n 4").exit_code, 5);
}

/// A vocabulary that wants BOS begins a text out of nothing; one without has nothing to begin from.
TEST_F(RunCli, AnEmptyPromptBeginsAtBos) {
  const test::Outcome outcome = snug(greedy_ + "-p '' -n 4 --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out)["prompt_tokens"], 1);
}

TEST_F(RunCli, InvalidUtf8IsReadAndNothingInvalidIsShown) {
  write("bad.txt", std::string("Once \xff\xc3 upon \xe2\x96", 15));
  const test::Outcome outcome = snug(greedy_ + "-f bad.txt -n 8");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NO_THROW((void)json(outcome.out).dump()) << "stdout is not UTF-8";
  const test::Outcome tokens = snug("tokenize " + model_ + " bad.txt --json -q");
  EXPECT_EQ(tokens.exit_code, 0);
  EXPECT_GT(json::parse(tokens.out).size(), 3u);
}

TEST_F(RunCli, CtrlCEndsTheAnswerWithItsLine) {
  const test::Outcome outcome = snug(
      "run " + model_ + " -p Once --seed 1 --temp 3 --top-k 0 --top-p 1 --min-p 0 --exact -q --stop \x01",
      "timeout -k 5 -s INT --preserve-status 0.15");
  // Either the signal came first, or the context was full: a clean end of line in any case.
  EXPECT_TRUE(outcome.exit_code == 4 || outcome.exit_code == 0) << outcome.exit_code << outcome.err;
  EXPECT_TRUE(outcome.out.empty() || outcome.out.back() == '\n') << outcome.out;
  EXPECT_EQ(outcome.err.find("terminate"), std::string::npos) << outcome.err;
}

TEST_F(RunCli, TokenizeGivesIdsAndTheirText) {
  write("text.txt", "Once upon a time\n");
  const json ids = json::parse(snug("tokenize " + model_ + " text.txt --json").out);
  ASSERT_GT(ids.size(), 4u);
  EXPECT_EQ(ids[0], 1);
  EXPECT_EQ(json::parse(snug("tokenize " + model_ + " text.txt --json --bare").out).size(), ids.size() - 1);
  EXPECT_EQ(static_cast<size_t>(std::ranges::count(snug("tokenize " + model_ + " text.txt").out, '\n')),
            ids.size());
  EXPECT_EQ(json::parse(snug("tokenize " + model_ + " - --json", "printf 'Once upon a time\\n' |").out), ids);
  write("empty.txt", "");
  EXPECT_EQ(json::parse(snug("tokenize " + model_ + " empty.txt --json").out), json::parse("[1]"));
  EXPECT_EQ(snug("tokenize " + model_ + " missing.txt").exit_code, 5);
}

TEST_F(RunCli, EvalScoresTasks) {
  std::string lines;
  for (int i = 0; i < 4; ++i)
    lines +=
        R"({"query": "The dog was hungry so it", "choices": ["ate the food.", "xylophone purple 7"], "gold": 0})"
        "\n";
  write("tasks.jsonl", lines);
  const std::string eval = "eval " + model_ + " --task choices -f tasks.jsonl -q ";
  const test::Outcome outcome = snug(eval + "--json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json found = json::parse(outcome.out);
  EXPECT_EQ(found["tasks"], 4);
  EXPECT_EQ(found["right"], 4);
  EXPECT_EQ(found["accuracy"]["value"], 1);
  EXPECT_LT(found["interval_95"][0], 1);
  EXPECT_EQ(found["results"][0]["scores"].size(), 2u);
  EXPECT_EQ(json::parse(snug(eval + "--json --chunks 2").out)["tasks"], 2);
  EXPECT_NE(snug(eval).out.find("right answers"), std::string::npos);
  write("tasks.jsonl", lines + "{\n");
  const test::Outcome bad = snug(eval);
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_NE(bad.err.find("tasks.jsonl:5"), std::string::npos) << bad.err;
  EXPECT_EQ(snug("eval " + model_ + " --task choices").exit_code, 2);
  EXPECT_EQ(snug("eval " + model_ + " --task nonsense -f tasks.jsonl").exit_code, 2);
}

TEST_F(RunCli, RawLogitsAreOneRowPerToken) {
  ASSERT_EQ(snug("eval " + model_ + " --tokens 1,2,3 --logits out.f32").exit_code, 0);
  EXPECT_EQ(contents("out.f32").size(), 3u * 4096u * 4u);
  EXPECT_EQ(snug("eval " + model_ + " --tokens 1,2,3 --logits out.f32").exit_code, 5)
      << "it is there already";
  EXPECT_EQ(snug("eval " + model_ + " --tokens 1,2,3 --logits out.f32 --force").exit_code, 0);
  EXPECT_EQ(snug("eval " + model_ + " --tokens 1,4096 --logits new.f32").exit_code, 1);
  EXPECT_EQ(snug("eval " + model_ + " --tokens 1,x --logits new.f32").exit_code, 2);
  EXPECT_FALSE(exists("new.f32"));
}

TEST_F(RunCli, ACutFileAndAnotherVocabularyAreToldSo) {
  const std::string whole = contents(model_);
  write("cut.gguf", whole.substr(0, whole.size() * 2 / 3));
  for (const char* command :
       {"run cut.gguf -p Once", "eval cut.gguf --tokens 1 --logits o.f32", "tokenize cut.gguf cut.gguf"}) {
    const test::Outcome outcome = snug(command);
    EXPECT_EQ(outcome.exit_code, 1) << command;
    EXPECT_NE(outcome.err.find("cut.gguf"), std::string::npos) << outcome.err;
  }
  test::write_tiny_llama({}, (scratch_ / "other.gguf").string());
  write("text.txt", std::string(4000, 'a'));
  const test::Outcome other = snug("eval " + model_ + " --base other.gguf -f text.txt --ctx 16");
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_NE(other.err.find("vocabulary"), std::string::npos) << other.err;
}

TEST_F(RunCli, TooLittleMemoryIsAMessage) {
  const std::string words = "run " + model_ + " -p Once -n 4 -q";
  const test::Outcome outcome = snug(words, "ulimit -v 60000;");
  if (outcome.exit_code == 0) return;
  EXPECT_TRUE(outcome.exit_code == 1 || outcome.exit_code == 5) << outcome.exit_code << outcome.err;
  EXPECT_NE(outcome.err, "");
}

}  // namespace
}  // namespace snug

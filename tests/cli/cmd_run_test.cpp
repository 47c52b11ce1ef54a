// snug run, tokenize and eval as a person or a script meets them: what is said, exit codes, and what bad
// input does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
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

  /// The model with another number for one of its keys, e.g. a context in which it talks for hours.
  void write_with(const std::string& name, const std::string& key, uint32_t value) const {
    std::string bytes = contents(model_);
    const size_t at = bytes.find(key);
    ASSERT_NE(at, bytes.npos) << key;
    std::memcpy(bytes.data() + at + key.size() + 4, &value, sizeof value);
    write(name, bytes);
  }
  void write_text(const std::string& name, int words) const {
    std::string text;
    for (int i = 0; i < words; ++i) text += i % 7 ? "the little dog " : "Lily saw ";
    write(name, text);
  }
};

TEST_F(RunCli, APromptGoesOnTheSameWayEachTime) {
  const test::Outcome first = snug(greedy_ + "-p 'Once upon a time' -n 12");
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_TRUE(first.out.starts_with("Once upon a time")) << first.out;
  EXPECT_TRUE(first.out.ends_with("\n"));
  EXPECT_EQ(snug(greedy_ + "-p 'Once upon a time' -n 12").out, first.out);
  EXPECT_EQ(first.err, "");
}

TEST_F(RunCli, KeysAndValuesInEightBitsChangeLittle) {
  const test::Outcome usual = snug(greedy_ + "-p 'Once upon a time' -n 4"),
                      packed = snug(greedy_ + "-p 'Once upon a time' -n 4 --cache-type q8_0");
  EXPECT_EQ(packed.exit_code, 0) << packed.err;
  EXPECT_EQ(packed.out, usual.out);
}

TEST_F(RunCli, WeightsAsTheyLieInTheFileGiveTheSameText) {
  ASSERT_EQ(snug("quantize -q " + model_ + " --preset q8_0 -o q8.gguf").exit_code, 0);
  const std::string text = "run q8.gguf --greedy -q -p 'Once upon a time' -n 4";
  const test::Outcome usual = snug(text), as_is = snug(text + " --no-repack");
  EXPECT_EQ(as_is.exit_code, 0) << as_is.err;
  EXPECT_EQ(as_is.out, usual.out);
}

TEST_F(RunCli, APromptMayComeThroughAPipe) {
  const std::string wanted = snug(greedy_ + "-p 'Once upon a time' -n 4").out;
  const test::Outcome piped = snug(greedy_ + "-f - -n 4", "printf 'Once upon a time' |");
  EXPECT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_EQ(piped.out, wanted);
  EXPECT_EQ(snug(greedy_ + "-f /dev/stdin -n 4", "printf 'Once upon a time' |").out, wanted);
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
  EXPECT_EQ(snug(greedy_ + "--chat --chat-template nonsense -n 4 -p Hello").exit_code, 2);
  EXPECT_EQ(snug(greedy_ + "--chat --form nonsense -n 4 -p Hello").exit_code, 2);  // the older name
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

TEST_F(RunCli, ATextThatDoesNotFitIsNotShown) {
  write("long.txt", std::string(6000, 'x'));
  EXPECT_EQ(snug(greedy_ + "-f long.txt -n 4").out, "");
}

TEST_F(RunCli, NumbersOutOfRangeAreToldInWords) {
  for (const char* option : {"--seed -2", "-n -2", "--ctx -1", "--ctx 99999999999999999999", "--ctx 1.5"}) {
    const test::Outcome outcome = snug("run " + model_ + " -p Once " + option);
    EXPECT_EQ(outcome.exit_code, 2) << option << outcome.err;
    EXPECT_LT(outcome.err.size(), 200u) << outcome.err;
    EXPECT_TRUE(outcome.err.find("whole number") != std::string::npos ||
                outcome.err.find("too large") != std::string::npos)
        << outcome.err;
  }
}

TEST_F(RunCli, OptionsOfAChatAreNotPassedOver) {
  EXPECT_EQ(snug(greedy_ + "-p Once -n 2 --system 'Be brief.'").exit_code, 2);
  EXPECT_EQ(snug(greedy_ + "-p Once -n 2 --chat-template chatml").exit_code, 2);
}

/// It would end an answer within a character, and its JSON with it.
TEST_F(RunCli, AStopThatIsNoTextIsRefused) {
  const test::Outcome outcome = snug(greedy_ + "-p Once -n 2 --stop \"$(printf '\\277')\"");
  EXPECT_EQ(outcome.exit_code, 2) << outcome.out;
  EXPECT_NE(outcome.err.find("UTF-8"), std::string::npos) << outcome.err;
}

TEST_F(RunCli, AModelThatDoesNotKnowItsContextNeedsOneToBeGiven) {
  write_with("none.gguf", "llama.context_length", 0);
  const test::Outcome outcome = snug("run none.gguf -p Once -n 2 --greedy -q");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("--ctx"), std::string::npos) << outcome.err;
  EXPECT_EQ(snug("run none.gguf -p Once -n 2 --greedy -q --ctx 16").exit_code, 0);
  write_with("huge.gguf", "llama.context_length", 0x7fffffff);
  const test::Outcome huge = snug("run huge.gguf -p Once -n 2 --greedy -q");
  EXPECT_EQ(huge.exit_code, 0) << huge.err;
}

/// Names in a file that nobody vouches for are not obeyed by the terminal.
TEST_F(RunCli, ControlCharactersOfAFileAreSpeltOut) {
  std::string bytes = contents(model_);
  const std::string key = "general.architecture";
  bytes.replace(bytes.find(key) + key.size() + 12, 5, "\x1b[31m");
  write("red.gguf", bytes);
  for (const std::string command : {"run red.gguf -p Once", "measure red.gguf --formats q4_K"}) {
    const test::Outcome outcome = snug(command);
    EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos) << command;
    EXPECT_NE(outcome.err.find("\\x1b[31m"), std::string::npos) << outcome.err;
  }
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
  write_with("talks.gguf", "llama.context_length", 1 << 20);
  const std::string run = "run talks.gguf -q --seed 1 -n -1 ";
  const auto shown = [&](size_t bytes) { return [=, this] { return contents("out.txt").size() > bytes; }; };
  test::Outcome outcome = interrupt(run + "-p Once --temp 3 --top-k 0 --top-p 1 --min-p 0", shown(40));
  EXPECT_TRUE(outcome.exit_code == 4 || outcome.exit_code == 0) << outcome.exit_code;  // it may end by itself
  EXPECT_TRUE(outcome.out.starts_with("Once") && outcome.out.ends_with("\n")) << outcome.out;
  EXPECT_EQ(outcome.err, "");
  write_text("long.txt", 100000);
  outcome = interrupt(run + "-f long.txt", shown(0));  // while it reads the prompt
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_TRUE(outcome.out.ends_with("\n"));
  outcome = interrupt(run + "-f long.txt --json");
  EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
  const json said = json::parse(outcome.out);  // the answer so far, or before there is one an error
  EXPECT_EQ(said.contains("error") ? said["error"]["fault"] : said["ended"], "interrupted");
}

TEST_F(RunCli, CtrlCEndsTheWaitForALine) {
  const test::Outcome outcome =
      interrupt("run " + model_ + " --chat", [&] { return contents("err.txt").ends_with("> "); });
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(outcome.out, "");
}

TEST_F(RunCli, CtrlCLeavesNothingHalfWritten) {
  write_text("long.txt", 300000);
  for (const std::string& command :
       {"eval " + model_ + " -f long.txt --save-logits out.bin",
        "eval " + model_ + " -f long.txt --base " + model_, "tokenize " + model_ + " long.txt --json",
        "imatrix " + model_ + " -f long.txt -o out.bin"}) {
    const test::Outcome outcome = interrupt(command);
    EXPECT_EQ(outcome.exit_code, 4) << command;
    if (command.ends_with("--json"))
      EXPECT_EQ(json::parse(outcome.out)["error"]["fault"], "interrupted");
    else
      EXPECT_EQ(outcome.out, "") << command;
    EXPECT_NE(outcome.err.find("snug: interrupted"), std::string::npos) << outcome.err;
    EXPECT_FALSE(exists("out.bin")) << command;
  }
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
  std::string words;
  for (int i = 0; i < 300; ++i) words += "dog ";
  write("tasks.jsonl", R"({"query": ")" + words + R"(", "choices": ["ran", "sat"], "gold": 0})");
  const test::Outcome tasks = snug("eval " + model_ + " --task choices -f tasks.jsonl");
  EXPECT_EQ(tasks.exit_code, 0);
  EXPECT_NE(tasks.err.find("trained for"), std::string::npos) << tasks.err;
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

TEST_F(RunCli, ACutFileIsToldSo) {
  const std::string whole = contents(model_);
  write_text("text.txt", 600);
  for (const size_t size :
       {size_t{0}, size_t{3}, size_t{100}, whole.size() / 100, whole.size() * 2 / 3, whole.size() - 1}) {
    write("cut.gguf", whole.substr(0, size));
    for (const char* command : {"run cut.gguf -p Once", "eval cut.gguf --tokens 1 --logits o.bin",
                                "tokenize cut.gguf text.txt", "imatrix cut.gguf -f text.txt -o o.bin"}) {
      const test::Outcome outcome = snug(command);
      EXPECT_EQ(outcome.exit_code, 1) << command << " of " << size << " bytes: " << outcome.out;
      EXPECT_NE(outcome.err.find("cut.gguf"), std::string::npos) << outcome.err;
      EXPECT_FALSE(exists("o.bin"));
    }
  }
}

TEST_F(RunCli, AnotherVocabularyIsToldSo) {
  write_text("text.txt", 600);
  test::write_tiny_llama({}, scratch_ / "fewer.gguf");
  std::string bytes = contents(model_);
  const size_t at = bytes.find("<0x41>");  // a token's text
  ASSERT_NE(at, bytes.npos);
  bytes.replace(at, 6, "<other");
  write("other.gguf", bytes);
  for (const char* original : {"fewer.gguf", "other.gguf"}) {
    const test::Outcome other =
        snug("eval " + model_ + " --base " + original + " -f text.txt --ctx 16 --chunks 2");
    EXPECT_EQ(other.exit_code, 1);
    EXPECT_NE(other.err.find("vocabular"), std::string::npos) << other.err;
  }
  // A tokenizer that knows more tokens than the model has rows.
  const std::string fewer = "run fewer.gguf -p Once";
  EXPECT_EQ(snug(fewer).exit_code, 1) << "it has no tokenizer";
}

TEST_F(RunCli, AContextFarLongerThanTheModelsIsToldSo) {
  write_text("text.txt", 600);
  const std::string text = " -f text.txt --ctx 512 --chunks 1";
  const test::Outcome eval = snug("eval " + model_ + text);
  EXPECT_EQ(eval.exit_code, 0) << eval.err;
  EXPECT_NE(eval.err.find("trained for"), std::string::npos) << eval.err;
  EXPECT_EQ(snug("eval " + model_ + text + " -q").err, "");
  const test::Outcome short_text = snug("eval " + model_ + " -f text.txt --ctx 16777216");
  EXPECT_EQ(short_text.exit_code, 1);
  EXPECT_NE(short_text.err.find("longer text"), std::string::npos) << short_text.err;
  EXPECT_EQ(snug("eval " + model_ + " -f text.txt --ctx 3").exit_code, 2);
  const test::Outcome imatrix = snug("imatrix " + model_ + " -f text.txt --chunk 512 -o im.gguf");
  EXPECT_EQ(imatrix.exit_code, 0) << imatrix.err;
  EXPECT_NE(imatrix.err.find("trained for"), std::string::npos) << imatrix.err;
}

TEST_F(RunCli, AnEmptyOrStrangeTextIsToldSoOrRead) {
  write("empty.txt", "");
  EXPECT_EQ(snug("eval " + model_ + " -f empty.txt").exit_code, 1);
  EXPECT_EQ(snug("imatrix " + model_ + " -f empty.txt -o im.gguf").exit_code, 1);
  EXPECT_EQ(snug(greedy_ + "-f empty.txt -n 2").exit_code, 0);
  std::string strange;
  for (int i = 0; i < 4000; ++i) strange += static_cast<char>(i * 37 % 256);
  write("strange.txt", strange);
  const test::Outcome eval = snug("eval " + model_ + " -f strange.txt --chunks 1 --json");
  EXPECT_EQ(eval.exit_code, 0) << eval.err;
  EXPECT_GT(json::parse(eval.out)["perplexity"]["value"], 1);
  const test::Outcome imatrix = snug("imatrix " + model_ + " -f strange.txt -o im.gguf");
  EXPECT_EQ(imatrix.exit_code, 1);
  EXPECT_NE(imatrix.err.find("UTF-8"), std::string::npos) << imatrix.err;
  EXPECT_FALSE(exists("im.gguf"));
}

TEST_F(RunCli, TooLittleMemoryIsAMessage) {
  write_text("text.txt", 600);
  const std::string commands[] = {
      "run " + model_ + " -p Once -n 4 -q", "eval " + model_ + " -f text.txt --chunks 1 -q",
      "imatrix " + model_ + " -f text.txt -o im.gguf -q", "tokenize " + model_ + " text.txt -q"};
  int told = 0;
  // From too little for the program's own libraries to enough for all: never a crash.
  for (int kilobytes = 14000; kilobytes < 64000; kilobytes = kilobytes * 5 / 4) {
    const std::string limit = "ulimit -v " + std::to_string(kilobytes) + ";";
    if (snug("--version", limit).exit_code != 0) continue;  // fails before main()
    for (const std::string& command : commands) {
      const test::Outcome outcome = snug(command, limit);
      const bool left = std::filesystem::remove(scratch_ / "im.gguf");
      if (outcome.exit_code == 0 || outcome.err.find("shared libraries") != std::string::npos) continue;
      if (outcome.err.starts_with("terminate called without an active exception"))
        continue;  // the C++ runtime has none for the exception itself: some 100 kB before main()
      EXPECT_TRUE(outcome.exit_code == 1 || outcome.exit_code == 5)
          << command << " in " << kilobytes << ": " << outcome.exit_code << outcome.err;
      EXPECT_TRUE(outcome.err.starts_with("snug: ")) << outcome.err;
      EXPECT_FALSE(left) << command;
      ++told;
    }
  }
  EXPECT_GT(told, 0) << "no limit was too small for a command and enough for the program";
}

/// Nobody's memory holds keys and values for these; a context that was not asked for is cut instead.
TEST_F(RunCli, AContextThatDoesNotFitInMemoryIsToldSo) {
  write_with("long.gguf", "llama.context_length", 1 << 24);
  const test::Outcome outcome = snug("run long.gguf -p Once -n 2 --greedy", "ulimit -v 8000000;");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("trained for"), std::string::npos) << outcome.err;
  const test::Outcome asked =
      snug("run long.gguf -p Once -n 2 --greedy --ctx 16777216", "ulimit -v 8000000;");
  EXPECT_EQ(asked.exit_code, 1) << asked.out;
  EXPECT_NE(asked.err.find("memory"), std::string::npos) << asked.err;
  EXPECT_NE(asked.err.find("try:   give a shorter context (--ctx)\n"), std::string::npos) << asked.err;
}

}  // namespace
}  // namespace snug

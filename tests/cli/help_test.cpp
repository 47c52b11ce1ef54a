// Help, and what the program answers to a command line that is not quite right.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cli/run_program.hpp"
#include "cli/text/wrap.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

using test::Outcome;

class Help : public test::RunProgram {
 protected:
  std::string help(const std::string& command, int columns) {
    const Outcome outcome = snug("help " + command, "COLUMNS=" + std::to_string(columns));
    EXPECT_EQ(outcome.exit_code, 0) << command << outcome.err;
    return outcome.out;
  }

  /// Whether what is said on standard error holds all of `words`.
  void expect_answer(const std::string& arguments, const std::vector<std::string>& words) {
    const Outcome outcome = snug(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    for (const std::string& word : words)
      EXPECT_NE(outcome.err.find(word), std::string::npos) << arguments << ": " << word << "\n"
                                                           << outcome.err;
  }

  const std::vector<std::string> commands_ = {"",
                                              "fit",
                                              "plan",
                                              "measure",
                                              "imatrix",
                                              "quantize",
                                              "convert",
                                              "eval",
                                              "run",
                                              "bench",
                                              "report",
                                              "inspect",
                                              "tokenize",
                                              "state",
                                              "state show",
                                              "state verify",
                                              "codec",
                                              "export",
                                              "version",
                                              "help",
                                              "completion",
                                              "state merge",
                                              "state compact",
                                              "man",
                                              "codec encode",
                                              "codec decode",
                                              "bench encode"};
  const std::string model_ = test::tiny_model().string();
};

TEST_F(Help, FitsTheWidthAndShowsExamplesInPlainWords) {
  for (const std::string& command : commands_)
    for (const int columns : {80, 116}) {
      const std::string text = help(command, columns);
      std::istringstream lines{text};
      for (std::string line; std::getline(lines, line);)
        EXPECT_LE(cli::characters(line), static_cast<size_t>(columns)) << command << ": " << line;
      EXPECT_NE(text.find("Example"), std::string::npos) << command;
      for (const char* spelling : {" INT", " FLOAT", " UINT", " ENUM", "->", " in [", "REQUIRED", "Excludes"})
        EXPECT_EQ(text.find(spelling), std::string::npos) << command << ": " << spelling;
    }
}

TEST_F(Help, OfFitIsGrouped) {
  const std::string text = help("fit", 80);
  size_t at = 0;
  for (const char* heading : {"What to work on:", "How hard to try:", "How the model is run:",
                              "Where files go:", "What to say:", "Examples:"}) {
    const size_t found = text.find(heading);
    EXPECT_NE(found, std::string::npos) << heading;
    EXPECT_GT(found, at) << heading;
    at = found;
  }
}

TEST_F(Help, IsTheSameByEveryWayToAsk) {
  EXPECT_EQ(snug("fit --help").out, snug("help fit").out);
  EXPECT_EQ(snug("state merge -h").out, snug("help state merge").out);
  EXPECT_EQ(snug("--help").out, snug("help").out);
  EXPECT_EQ(snug("").out, snug("help").out);
  EXPECT_EQ(snug("version").out, snug("--version").out);
}

TEST_F(Help, KnowsWhatWasMeant) {
  expect_answer("fti", {"no command 'fti'", "'fit'"});
  expect_answer("state mergee", {"'merge'", "snug state"});
  expect_answer("help quantise", {"'quantize'"});
  expect_answer("fit " + model_ + " --bwp 4", {"no option --bwp", "'--bpw'"});
  expect_answer("fit " + model_ + " --bpw 4 --gptq of --dry-run", {"--gptq", "auto, on, off", "'off'"});
  expect_answer("fit " + model_ + " --bpw 4 --dry-run --min q4_j", {"'q4_j'", "did you mean 'q4_"});
  expect_answer("quantize " + model_ + " --preset q4_k_mm --dry-run", {"'q4_k_m'"});
  expect_answer("quantize " + model_ + " --format q4_k_m --dry-run", {"preset", "--preset q4_k_m"});
  expect_answer("fit " + model_ + " --bpw 4 --dry-run --runtime lama.cpp", {"'llama.cpp'"});
}

TEST_F(Help, SaysInPlainWordsWhatIsWrong) {
  expect_answer("fit", {"MODEL is missing", "snug fit --help"});
  expect_answer("fit " + model_ + " --bpw three", {"'three'", "number", "--bpw"});
  expect_answer("fit " + model_ + " --bpw", {"--bpw wants a value"});
  expect_answer("fit " + model_ + " --size 11 GB", {"'GB'", "one word: 11GB"});
  const Outcome hub = snug("fit Owner/Model-1B --bpw 4");
  EXPECT_EQ(hub.exit_code, 5);
  EXPECT_NE(hub.err.find("nothing is downloaded"), std::string::npos) << hub.err;
  expect_answer("fit " + model_ + " --bpw 3 --size 1MB", {"--size", "--bpw", "leave one"});
  expect_answer("'" + model_ + "' --bpw 4", {"a file, not a command", "snug fit"});
  expect_answer("state", {"a command is missing"});
}

TEST_F(Help, ErrorsAreADocumentUnderJson) {
  for (const std::string& arguments : {"fit " + model_ + " --bpw 99 --dry-run --json",
                                       std::string{"fit --json"}, std::string{"fti --json"}}) {
    const Outcome outcome = snug(arguments);
    EXPECT_EQ(outcome.exit_code, 2);
    ASSERT_TRUE(nlohmann::json::accept(outcome.out)) << arguments << outcome.out;
    const auto error = nlohmann::json::parse(outcome.out)["error"];
    EXPECT_EQ(error["exit_code"], 2);
    EXPECT_EQ(error["fault"], "usage");
    EXPECT_FALSE(error["problem"].get<std::string>().empty());
    EXPECT_NE(outcome.err.find(error["problem"].get<std::string>()), std::string::npos);
  }
  EXPECT_EQ(snug("fit --bpw 3").out, "");
}

TEST_F(Help, TheCallOfLlamaQuantizeIsUnderstood) {
  ASSERT_EQ(snug("quantize " + model_ + " --preset q4_k_m -o ours.gguf").exit_code, 0);
  const Outcome theirs = snug("quantize " + model_ + " theirs.gguf Q4_K_M 2");
  ASSERT_EQ(theirs.exit_code, 0) << theirs.err;
  EXPECT_NE(theirs.err.find("--preset Q4_K_M"), std::string::npos);
  EXPECT_EQ(contents("theirs.gguf"), contents("ours.gguf"));
  EXPECT_EQ(snug("quantize " + model_ + " Q8_0").exit_code, 0);
  EXPECT_TRUE(exists("tiny-Q8_0.gguf"));
  expect_answer("quantize " + model_ + " a.gguf b.gguf Q4_K_M", {"one argument too many"});
  expect_answer("quantize " + model_ + " theirs2.gguf Q4_K_N", {"Q4_K_N"});
}

TEST(Wrap, BreaksBetweenWordsAndKeepsQuotesWhole) {
  EXPECT_EQ(cli::wrapped("one two three", 7, 2), "one two\n  three");
  EXPECT_EQ(cli::wrapped("unbreakable", 4), "unbreakable");
  EXPECT_EQ(cli::wrapped("zwölf Äpfel", 11), "zwölf Äpfel");
  EXPECT_EQ(cli::wrapped_command("snug run m.gguf -p 'a b c d' -n 4", 20, 4),
            "snug run m.gguf \\\n    -p 'a b c d' \\\n    -n 4");
}

}  // namespace
}  // namespace snug

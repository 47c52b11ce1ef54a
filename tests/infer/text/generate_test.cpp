#include "infer/text/generate.hpp"

#include <gtest/gtest.h>

#include "snug/error.hpp"
#include "support/tiny_model.hpp"

namespace snug::infer {
namespace {

class GenerateOnTinyModel : public testing::Test {
 protected:
  Generation say(const std::string& text, const GenerateOptions& options,
                 SessionOptions session_options = {}) {
    Session session{model, session_options};
    Sampler sampler{{.temperature = 0}};
    shown.clear();
    return generate(session, tokenizer, sampler, tokenizer.encode(text, true, false), options,
                    [&](std::string_view t) { shown += t; });
  }

  Model model{open_model(test::tiny_model())};
  Tokenizer tokenizer{model.source()};
  std::string shown;
};

TEST_F(GenerateOnTinyModel, SaysWhatOneForwardPassAfterAnotherWouldSay) {
  const Generation out = say("Once upon a time", {.max_tokens = 12});
  std::vector<int32_t> all = tokenizer.encode("Once upon a time", true, false);
  for (const int32_t token : out.tokens) {
    const Activations logits = Session{model, {}}.forward(all, static_cast<int64_t>(all.size()) - 1);
    EXPECT_EQ(token, (Sampler{{.temperature = 0}}.next(logits.row(0))));
    all.push_back(token);
  }
  EXPECT_EQ(out.tokens.size(), 12u);
  EXPECT_EQ(out.ended, FinishReason::at_most_tokens);
  EXPECT_EQ(out.text, shown);
  EXPECT_FALSE(shown.empty());
}

TEST_F(GenerateOnTinyModel, StopsBeforeAStopText) {
  const std::string whole = say("Once upon a time", {.max_tokens = 20}).text;
  const std::string stop = whole.substr(whole.size() / 2, 5);
  const Generation cut = say("Once upon a time", {.max_tokens = 20, .stops = {"\x01", stop}});
  EXPECT_EQ(cut.ended, FinishReason::at_stop);
  EXPECT_EQ(cut.text, whole.substr(0, whole.find(stop)));
  EXPECT_EQ(shown, cut.text);
}

TEST_F(GenerateOnTinyModel, AFullContextEndsTheAnswerAndATooLongPromptIsRefused) {
  const Generation out = say("Once upon a time", {}, {.context = 16});
  EXPECT_TRUE(out.ended == FinishReason::context_full || out.ended == FinishReason::by_itself);
  EXPECT_LE(out.tokens.size(), 16u);
  std::string text;
  for (int i = 0; i < 40; ++i) text += " word";
  try {
    say(text, {}, {.context = 16});
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string{e.what()}.find("only 16 of a context of 16"), std::string::npos) << e.what();
  }
}

TEST_F(GenerateOnTinyModel, AnEmptyPromptIsRefused) {
  Session session{model, {}};
  Sampler sampler{{}};
  EXPECT_THROW(generate(session, tokenizer, sampler, {}, {}, [](std::string_view) {}), Error);
}

TEST_F(GenerateOnTinyModel, NoTokensAreWanted) {
  const Generation out = say("Once", {.max_tokens = 0});
  EXPECT_TRUE(out.tokens.empty());
  EXPECT_EQ(out.ended, FinishReason::at_most_tokens);
}

TEST(StopWatch, HoldsBackOnlyWhatMayBeginAStop) {
  const std::vector<std::string> stops{"</end>", "STOP", ""};
  StopWatch watch{stops};
  EXPECT_EQ(watch.add("abc<"), "abc");
  EXPECT_EQ(watch.add("/en"), "");
  EXPECT_EQ(watch.add("x ST"), "</enx ");
  EXPECT_EQ(watch.add("OP tail"), "");
  EXPECT_TRUE(watch.stopped());
  EXPECT_EQ(watch.add("more"), "");
  EXPECT_EQ(watch.finish(), "");
}

TEST(StopWatch, TheEarliestStopCounts) {
  const std::vector<std::string> stops{"late", "a"};
  StopWatch watch{stops};
  EXPECT_EQ(watch.add("xx late"), "xx ");
  EXPECT_TRUE(watch.stopped());
  StopWatch open{stops};
  EXPECT_EQ(open.add("xl"), "x");
  EXPECT_EQ(open.finish(), "l");
}

}  // namespace
}  // namespace snug::infer

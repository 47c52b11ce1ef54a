#include "eval/multiple_choice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "eval/divergence.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"
#include "tools/arch_models/arch_models.hpp"

namespace snug::infer {
namespace {

class TasksOnTinyModel : public testing::Test {
 protected:
  /// Mean ln p of tokens [begin, end) from a run of the whole text.
  double whole(const std::vector<int32_t>& text, size_t begin, size_t end) const {
    const Activations logits = Session{model, {}}.forward(text);
    double sum = 0;
    for (size_t i = begin; i < end; ++i)
      sum -= static_cast<double>(score(logits.row(static_cast<int64_t>(i) - 1), text[i]).loss);
    return sum / static_cast<double>(end - begin);
  }

  TaskResult result_of(const Task& task) const {
    Session session{model, {}};
    return score_task(session, tokenize_task(tokenizer, task), task.right);
  }

  Model model{open_model(test::tiny_model())};
  Tokenizer tokenizer{model.source()};
  const Task hungry{.texts = {"The dog was hungry so it ate the food.", "The dog was hungry so it flew",
                              "The dog was hungry so it ate a stone and then a house"},
                    .right = {true, false, false}};
};

TEST_F(TasksOnTinyModel, AnEndingIsTheMeanOfWhatTheTextsDoNotShare) {
  const TaskTokens tokens = tokenize_task(tokenizer, hungry);
  const TaskResult result = result_of(hungry);
  ASSERT_EQ(result.scores.size(), 3u);
  EXPECT_GT(tokens.common, 4u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(tokens.begins[i], tokens.common);
    EXPECT_EQ(tokens.ends[i], tokens.texts[i].size());
    EXPECT_NEAR(result.scores[i], whole(tokens.texts[i], tokens.common, tokens.texts[i].size()), 1e-12);
  }
  const auto best = std::ranges::max_element(result.scores) - result.scores.begin();
  EXPECT_EQ(static_cast<int64_t>(result.chosen), best);
  EXPECT_EQ(result.right, best == 0);
}

TEST_F(TasksOnTinyModel, WinoGrandeScoresWhatFollowsTheChoiceButTheLastToken) {
  const Task task{.texts = {"The ball hit Ben so Ben cried in the garden",
                            "The ball hit Ben so Lily cried in the garden"},
                  .starts = {"The ball hit Ben so Ben", "The ball hit Ben so Lily"},
                  .right = {true, false}};
  const TaskTokens tokens = tokenize_task(tokenizer, task);
  const TaskResult result = result_of(task);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(tokens.begins[i], tokenizer.encode(task.starts[i], true, false).size());
    EXPECT_EQ(tokens.ends[i], tokens.texts[i].size() - 1);
    EXPECT_NEAR(result.scores[i], whole(tokens.texts[i], tokens.begins[i], tokens.ends[i]), 1e-12);
  }
}

TEST_F(TasksOnTinyModel, ShortWinoGrandeTextsAreScoredFromWhereTheyPart) {
  const Task task{.texts = {"Ben cried.", "Lily cried."}, .starts = {"Ben", "Lily"}, .right = {true, false}};
  const TaskTokens tokens = tokenize_task(tokenizer, task);
  const TaskResult result = result_of(task);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(tokens.begins[i], std::max<size_t>(1, tokens.common));
    EXPECT_NEAR(result.scores[i], whole(tokens.texts[i], tokens.begins[i], tokens.ends[i]), 1e-12);
  }
}

TEST_F(TasksOnTinyModel, OfEqualsTheFirstIsChosenInWinoGrandeTheSecond) {
  Task task{.texts = {"Once upon a time there was", "Once upon a time there was"}, .right = {true, false}};
  EXPECT_EQ(result_of(task).chosen, 0u);
  task.starts = {"Once upon", "Once upon"};
  EXPECT_EQ(result_of(task).chosen, 1u);
}

TEST_F(TasksOnTinyModel, ATextWithNothingToScoreIsRefused) {
  EXPECT_THROW(tokenize_task(tokenizer, {.texts = {"", "a"}, .right = {true, false}}), Error);
}

TEST(Accuracy, GivesStandardErrorAndInterval) {
  std::vector<TaskResult> results(100, {.scores = {0, 0, 0, 0}, .right = false});
  for (size_t i = 0; i < 40; ++i) results[i].right = true;
  const Accuracy found = accuracy(results);
  EXPECT_EQ(found.right, 40);
  EXPECT_DOUBLE_EQ(found.value, 0.4);
  EXPECT_NEAR(found.error, std::sqrt(0.24 / 99), 1e-12);
  EXPECT_NEAR(found.low, 0.3094, 1e-4);  // Wilson, from its closed form by hand
  EXPECT_NEAR(found.high, 0.4980, 1e-4);
  EXPECT_DOUBLE_EQ(found.by_chance, 0.25);
  EXPECT_EQ(accuracy({}).tasks, 0);
}

/// Every kind of memory: plain caches, windows that wrap, latent ones, recurrent states.
TEST(Rewind, GivesTheBitsOfARunThatNeverWentOn) {
  const test::Scratch scratch;
  for (const tools::ArchModel& kind : tools::arch_models()) {
    SCOPED_TRACE(kind.name);
    tools::write_arch_model(kind, 0, scratch / "model.gguf");
    const Model model{open_model(scratch / "model.gguf")};
    std::vector<int32_t> start(17), end(9), other(30);
    for (size_t i = 0; i < other.size(); ++i) {
      other[i] = static_cast<int32_t>(i * 29 % 64);
      if (i < start.size()) start[i] = static_cast<int32_t>(i * 13 % 64);
      if (i < end.size()) end[i] = static_cast<int32_t>(i * 7 % 64);
    }
    Session session{model, {.context = 60, .batch = 4}};
    session.forward(start);
    const Session::Mark mark = session.mark();
    const Activations once = session.forward(end);
    session.rewind(mark);
    session.forward(other);
    session.rewind(mark);
    const Activations again = session.forward(end);
    EXPECT_TRUE(std::ranges::equal(once.values(), again.values()));
  }
}

}  // namespace
}  // namespace snug::infer

// Task scores beside those that the real llama.cpp's logits give, each text run by itself from its beginning.
#include "eval/multiple_choice.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "eval/task_file.hpp"
#include "eval/divergence.hpp"
#include "interop/real_llama.hpp"
#include "support/scratch.hpp"

namespace snug::infer {
namespace {

TEST(TasksBeside, ScoresAndChoicesAreThoseOfLlama) {
  const std::filesystem::path libraries = test::RealLlama::find_libraries(), shared = test::shared_folder();
  if (libraries.empty()) {
    ASSERT_EQ(std::getenv("SNUG_REQUIRE_LLAMA"), nullptr) << "tools/fetch_llama did not bring the libraries";
    GTEST_SKIP() << "the real llama.cpp is not here: run tools/fetch_llama (x86-64 Linux)";
  }
  if (shared.empty()) GTEST_SKIP() << "../shared is not here";
  const test::RealLlama llama{libraries};
  const std::filesystem::path file = shared / "models/dense-f16.gguf";
  const auto theirs = llama.load_exact(file, 256);
  const Model model{open_model(file)};
  const Tokenizer tokenizer{model.source()};
  Session session{model, {.context = 256}};
  for (const char* name : {"hellaswag-400.txt", "arc_easy-400.jsonl", "winogrande-400.jsonl"})
    for (const Task& task : cli::read_tasks((shared / "text/tasks" / name).string(), 6)) {
      SCOPED_TRACE(task.texts.front());
      const TaskTokens tokens = tokenize_task(tokenizer, task);
      const TaskResult ours = score_task(session, tokens, task.right);
      for (size_t i = 0; i < tokens.texts.size(); ++i) {
        EXPECT_EQ(tokens.texts[i], theirs->tokenize(task.texts[i], true));
        const std::vector<float> logits = theirs->logits(tokens.texts[i]);
        const auto width = static_cast<size_t>(model.vocabulary());
        double sum = 0;
        for (size_t t = tokens.begins[i]; t < tokens.ends[i]; ++t)
          sum -= static_cast<double>(
              score(std::span{logits}.subspan((t - 1) * width, width), tokens.texts[i][t]).loss);
        EXPECT_NEAR(ours.scores[i], sum / static_cast<double>(tokens.ends[i] - tokens.begins[i]), 2e-3);
      }
    }
}

}  // namespace
}  // namespace snug::infer

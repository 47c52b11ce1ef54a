#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "infer/session.hpp"
#include "infer/tokenizer/tokenizer.hpp"

namespace snug::infer {

/// A question with a few texts to choose from: the question with each of its answers.
struct Task {
  std::vector<std::string> texts;  // two or more
  /// WinoGrande: of each text the part that ends with the choice; what comes after it is scored. Else empty:
  /// scored is what the texts do not have in common.
  std::vector<std::string> starts{};
  std::vector<bool> right{};  // of each text
};

struct TaskResult {
  std::vector<double> scores;  // of each text: mean of ln p of its scored tokens
  size_t chosen = 0;
  bool right = false;
};

/// A task in tokens, with what is scored settled as llama.cpp's perplexity tool does:
/// - scored are the tokens after those that all texts have in common, as a mean over them; the best mean
///   wins, of equals the first;
/// - WinoGrande: where every text has more than 3 tokens after those in common, scored are those behind its
///   start; the last token of a text never counts unless it is the only one; of equals the second wins.
/// It differs in one point: for the rare WinoGrande texts with 3 such tokens or fewer, that tool takes the
/// first probability of the second text from the wrong position; here it is the right one.
struct TaskTokens {
  std::vector<std::vector<int32_t>> texts;
  std::vector<size_t> begins, ends;  // of each text the scored tokens
  size_t common = 0;                 // tokens at the start that all texts share; less than the shortest text
  bool last_of_equals = false;

  size_t longest() const;
};
/// Throws Error where a text has nothing that can be scored.
TaskTokens tokenize_task(const Tokenizer& tokenizer, const Task& task);

/// Runs what the texts have in common once, then each to its end. The session is reset before.
TaskResult score_task(Session& session, const TaskTokens& tokens, const std::vector<bool>& right);

/// Share of right answers.
struct Accuracy {
  int64_t tasks = 0, right = 0;
  double value = 0, error = 0;  // standard error sqrt(p (1 - p) / (n - 1))
  double low = 0, high = 0;     // Wilson score interval of 95 %
  double by_chance = 0;         // of who draws an answer
};
Accuracy accuracy(std::span<const TaskResult> results);

}  // namespace snug::infer

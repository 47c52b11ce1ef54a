#include "eval/multiple_choice.hpp"

#include <algorithm>
#include <cmath>

#include "base/str.hpp"
#include "eval/divergence.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

constexpr size_t kFewTokens = 3;  // behind the common ones: too few for WinoGrande to leave the choice out
constexpr double kZ95 = 1.95996398454;  // normal quantile of a 95 % interval

/// Tokens at the start that all texts share; the last token of the shortest is never among them.
size_t common_start(const std::vector<std::vector<int32_t>>& texts) {
  size_t common = texts.front().size();
  for (const std::vector<int32_t>& text : texts) {
    const auto apart = std::ranges::mismatch(texts.front(), text);
    common = std::min({common, static_cast<size_t>(apart.in1 - texts.front().begin()), text.size() - 1});
  }
  return common;
}

void settle_after_choice(const Tokenizer& tokenizer, const Task& task, TaskTokens& tokens) {
  const bool skip_choice = std::ranges::all_of(
      tokens.texts, [&](const auto& text) { return text.size() - tokens.common > kFewTokens; });
  for (size_t i = 0; i < tokens.texts.size(); ++i) {
    const size_t size = tokens.texts[i].size();
    if (skip_choice)
      tokens.begins[i] = std::min(tokenizer.encode(task.starts[i], true, false).size(), size - 1);
    tokens.begins[i] = std::max({size_t{1}, tokens.common, tokens.begins[i]});
    if (size - tokens.begins[i] > 1) tokens.ends[i] = size - 1;
  }
}

/// Sum of ln p of tokens [begin, end); row r of `logits` says what follows token first + r.
double sum_of_logs(const Activations& logits, size_t first, std::span<const int32_t> text, size_t begin,
                   size_t end) {
  double sum = 0;
  for (size_t i = std::max(begin, first + 1); i < end; ++i) {
    if (i - 1 - first >= static_cast<size_t>(logits.count())) break;
    sum -= static_cast<double>(score(logits.row(static_cast<int64_t>(i - 1 - first)), text[i]).loss);
  }
  return sum;
}

size_t best_of(std::span<const double> scores, bool last_of_equals) {
  size_t best = 0;
  for (size_t i = 1; i < scores.size(); ++i)
    if (scores[i] > scores[best] || (last_of_equals && scores[i] == scores[best])) best = i;
  return best;
}

}  // namespace

size_t TaskTokens::longest() const {
  size_t most = 0;
  for (const auto& text : texts) most = std::max(most, text.size());
  return most;
}

TaskTokens tokenize_task(const Tokenizer& tokenizer, const Task& task) {
  TaskTokens tokens;
  for (const std::string& text : task.texts) {
    tokens.texts.push_back(tokenizer.encode(text, true, false));
    if (tokens.texts.back().size() < 2)
      throw Error{str("the text '", text, "' has nothing to score"), "", "give a question and answers"};
    tokens.ends.push_back(tokens.texts.back().size());
  }
  tokens.common = common_start(tokens.texts);
  // Nothing says how likely a first token is, where a vocabulary wants no BOS.
  tokens.begins.assign(task.texts.size(), std::max<size_t>(1, tokens.common));
  tokens.last_of_equals = !task.starts.empty();
  if (!task.starts.empty()) settle_after_choice(tokenizer, task, tokens);
  return tokens;
}

TaskResult score_task(Session& session, const TaskTokens& tokens, const std::vector<bool>& right) {
  session.reset();
  const std::span<const int32_t> start = std::span{tokens.texts.front()}.first(tokens.common);
  Activations behind_start;
  if (!start.empty()) behind_start = session.forward(start, static_cast<int64_t>(start.size()) - 1);
  const Session::Mark mark = session.mark();
  TaskResult result;
  for (size_t i = 0; i < tokens.texts.size(); ++i) {
    session.rewind(mark);
    const std::span<const int32_t> text{tokens.texts[i]};
    const Activations logits = session.forward(text.subspan(tokens.common, text.size() - 1 - tokens.common));
    const size_t begin = tokens.begins[i], end = tokens.ends[i];
    double sum = sum_of_logs(logits, tokens.common, text, begin, end);
    if (begin == tokens.common && tokens.common > 0)
      sum += sum_of_logs(behind_start, tokens.common - 1, text, begin, begin + 1);
    result.scores.push_back(sum / static_cast<double>(end - begin));
    if (!std::isfinite(result.scores.back()))
      throw Error{str("the score of an answer is ", result.scores.back()),
                  session.model().source().path().string(),
                  "weights or metadata of the model are damaged: copy or convert it again"};
  }
  result.chosen = best_of(result.scores, tokens.last_of_equals);
  result.right = right[result.chosen];
  return result;
}

Accuracy accuracy(std::span<const TaskResult> results) {
  Accuracy found;
  for (const TaskResult& result : results) {
    ++found.tasks;
    found.right += result.right;
    found.by_chance += 1.0 / static_cast<double>(result.scores.size());
  }
  if (found.tasks == 0) return found;
  const auto n = static_cast<double>(found.tasks);
  const double p = static_cast<double>(found.right) / n, z = kZ95 * kZ95 / n;
  found.value = p;
  found.error = found.tasks > 1 ? std::sqrt(p * (1 - p) / (n - 1)) : 0;
  const double middle = p + z / 2, reach = std::sqrt(z * (p * (1 - p) + z / 4));
  found.low = (middle - reach) / (1 + z);
  found.high = (middle + reach) / (1 + z);
  found.by_chance /= n;
  return found;
}

}  // namespace snug::infer

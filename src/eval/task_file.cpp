#include "eval/task_file.hpp"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "base/files/read_file.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

using infer::Task;
using nlohmann::json;

constexpr int64_t kMaxChoices = 100;

/// What is wrong with a line; the caller knows where it stands.
struct BadLine {
  std::string problem;
};

const json* find(const json& line, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const auto found = line.find(name); found != line.end()) return &*found;
  return nullptr;
}

std::string text_of(const json& value, const char* what) {
  if (!value.is_string() || value.get_ref<const std::string&>().empty())
    throw BadLine{str(what, " is to be a text that is not empty")};
  return value.get<std::string>();
}

std::string need_text(const json& line, std::initializer_list<const char*> names) {
  const json* value = find(line, names);
  if (!value) throw BadLine{str("'", *names.begin(), "' is missing")};
  return text_of(*value, *names.begin());
}

std::vector<std::string> texts_of(const json& value, const char* what) {
  if (!value.is_array() || value.size() < 2 || value.size() > static_cast<size_t>(kMaxChoices))
    throw BadLine{str(what, " is to be a list of 2 to ", kMaxChoices, " texts")};
  std::vector<std::string> texts;
  for (const json& text : value) texts.push_back(text_of(text, what));
  return texts;
}

/// An index from `from`, or a letter from A; also as a text.
size_t index_of(const json& value, size_t count, int64_t from) {
  int64_t index = -1;
  if (value.is_number_integer()) {
    index = value.is_number_unsigned() && value.get<uint64_t>() > 1000 ? -1 : value.get<int64_t>();
    if (index < 0 || index > 1000) index = -1;
  } else if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.size() == 1 && text[0] >= 'A' && text[0] <= 'Z') index = text[0] - 'A' + from;
    if (text.size() == 1 && text[0] >= '0' && text[0] <= '9') index = text[0] - '0';
  }
  index -= from;
  if (index < 0 || index >= static_cast<int64_t>(count))
    throw BadLine{str("the right answer ", value.dump(-1, ' ', false, json::error_handler_t::replace),
                      " is none of the ", count)};
  return static_cast<size_t>(index);
}

const json& need_gold(const json& line) {
  const json* gold = find(line, {"gold", "label", "answer"});
  if (!gold) throw BadLine{"'gold' is missing: the index of the right answer"};
  return *gold;
}

Task choice_task(const std::string& question, const std::vector<std::string>& answers,
                 std::vector<bool> right) {
  Task task;
  for (const std::string& answer : answers) task.texts.push_back(question + " " + answer);
  task.right = std::move(right);
  return task;
}

std::vector<bool> one_of(size_t count, size_t index) {
  std::vector<bool> right(count);
  right[index] = true;
  return right;
}

Task published_arc(const json& line, const json& choices) {
  const json *texts = find(choices, {"text"}), *labels = find(choices, {"label"}),
             *key = find(line, {"answerKey"});
  if (!texts || !labels || !key || !labels->is_array())
    throw BadLine{"'choices' needs 'text' and 'label', beside 'answerKey'"};
  const std::vector<std::string> answers = texts_of(*texts, "choices.text");
  const auto at = std::find(labels->begin(), labels->end(), *key);
  if (labels->size() != answers.size() || at == labels->end())
    throw BadLine{"'answerKey' is none of the labels"};
  return choice_task("Question: " + need_text(line, {"question"}), answers,
                     one_of(answers.size(), static_cast<size_t>(at - labels->begin())));
}

Task published_truthful(const json& line, const json& targets) {
  const json *texts = find(targets, {"choices"}), *labels = find(targets, {"labels"});
  if (!texts || !labels || !labels->is_array()) throw BadLine{"'mc1_targets' needs 'choices' and 'labels'"};
  const std::vector<std::string> answers = texts_of(*texts, "mc1_targets.choices");
  if (labels->size() != answers.size()) throw BadLine{"there are not as many labels as choices"};
  std::vector<bool> right;
  for (const json& label : *labels) {
    if (label != 0 && label != 1) throw BadLine{"'mc1_targets.labels' are to be 0 or 1"};
    right.push_back(label == 1);
  }
  if (std::ranges::count(right, true) == 0) throw BadLine{"no choice is labelled 1"};
  return choice_task(need_text(line, {"question"}), answers, right);
}

Task winogrande(const std::vector<std::string>& starts, const std::string& rest, size_t right) {
  Task task;
  task.starts = starts;
  for (const std::string& start : starts) task.texts.push_back(start + rest);
  task.right = one_of(starts.size(), right);
  return task;
}

Task published_winogrande(const json& line) {
  const std::string sentence = need_text(line, {"sentence"});
  const size_t gap = sentence.find('_');
  if (gap == std::string::npos) throw BadLine{"the sentence has no _"};
  const std::string before = sentence.substr(0, gap);
  const std::vector<std::string> starts{before + need_text(line, {"option1"}),
                                        before + need_text(line, {"option2"})};
  return winogrande(starts, sentence.substr(gap + 1), index_of(need_gold(line), 2, 1));
}

Task task_of(const json& line) {
  if (!line.is_object()) throw BadLine{"a task is to be a JSON object"};
  if (find(line, {"sentence"})) return published_winogrande(line);
  if (const json* starts = find(line, {"context_options"})) {
    const std::vector<std::string> both = texts_of(*starts, "context_options");
    return winogrande(both, str(" ", need_text(line, {"continuation"})),
                      index_of(need_gold(line), both.size(), 0));
  }
  if (const json* targets = find(line, {"mc1_targets"})) return published_truthful(line, *targets);
  const json* choices = find(line, {"choices", "endings", "answers"});
  if (!choices) throw BadLine{"'choices' is missing"};
  if (choices->is_object()) return published_arc(line, *choices);
  const std::vector<std::string> answers = texts_of(*choices, "choices");
  std::string question = need_text(line, {"query", "question", "ctx", "context"});
  if (const json* label = find(line, {"activity_label"}))
    question = text_of(*label, "activity_label") + ": " + question;
  return choice_task(question, answers, one_of(answers.size(), index_of(need_gold(line), answers.size(), 0)));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    if (!lines.back().empty() && lines.back().back() == '\r') lines.back().pop_back();
    at = end + 1;
  }
  return lines;
}

[[noreturn]] void refuse(const std::string& path, size_t line, const std::string& problem) {
  throw Error{problem, str(path, ":", line + 1), "the forms a task may have are in docs/evaluation.md"};
}

std::vector<Task> parse_json_lines(const std::vector<std::string>& lines, const std::string& path,
                                   int64_t most) {
  std::vector<Task> tasks;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (most > 0 && static_cast<int64_t>(tasks.size()) == most) break;
    if (lines[i].find_first_not_of(" \t") == std::string::npos) continue;
    const json line = json::parse(lines[i], nullptr, false);
    if (line.is_discarded()) refuse(path, i, "this is no JSON");
    try {
      tasks.push_back(task_of(line));
    } catch (const BadLine& bad) {
      refuse(path, i, bad.problem);
    }
  }
  return tasks;
}

/// Six lines a task: context, index of the right ending, four endings.
std::vector<Task> parse_hellaswag(const std::vector<std::string>& lines, const std::string& path,
                                  int64_t most) {
  std::vector<Task> tasks;
  for (size_t i = 0; i < lines.size(); i += 6) {
    if (most > 0 && static_cast<int64_t>(tasks.size()) == most) break;
    if (lines.size() - i < 6)
      refuse(path, i,
             str("the last task has ", lines.size() - i,
                 " lines, not 6; without a { at its beginning, a file is read as llama.cpp's text"));
    const std::string& index = lines[i + 1];
    if (index.size() != 1 || index[0] < '0' || index[0] > '3')
      refuse(path, i + 1, str("'", index, "' is not the index of an ending, 0 to 3"));
    const std::vector<std::string> endings(lines.begin() + static_cast<std::ptrdiff_t>(i) + 2,
                                           lines.begin() + static_cast<std::ptrdiff_t>(i) + 6);
    tasks.push_back(choice_task(lines[i], endings, one_of(4, static_cast<size_t>(index[0] - '0'))));
  }
  return tasks;
}

}  // namespace

std::vector<Task> parse_tasks(const std::string& text, const std::string& path, int64_t most) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";  // that some editors put in front of a text
  if (text.starts_with(kMark)) return parse_tasks(text.substr(kMark.size()), path, most);
  const std::vector<std::string> lines = lines_of(text);
  const size_t first = text.find_first_not_of(" \t\r\n");
  std::vector<Task> tasks = first != std::string::npos && text[first] == '{'
                                ? parse_json_lines(lines, path, most)
                                : parse_hellaswag(lines, path, most);
  if (tasks.empty())
    throw Error{"there is no task in it", path, "give a file of tasks, one JSON object a line"};
  return tasks;
}

std::vector<Task> read_tasks(const std::string& path, int64_t most) {
  return parse_tasks(read_text(path), path, most);
}

}  // namespace snug::cli

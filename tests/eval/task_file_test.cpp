#include "eval/task_file.hpp"

#include <gtest/gtest.h>

#include "snug/error.hpp"

namespace snug::cli {
namespace {

using infer::Task;

Task only(const std::string& line) {
  const std::vector<Task> tasks = parse_tasks(line + "\n", "file", 0);
  EXPECT_EQ(tasks.size(), 1u);
  return tasks.at(0);
}

std::string refusal(const std::string& text) {
  try {
    parse_tasks(text, "tasks.jsonl", 0);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(TaskFile, PlainChoices) {
  for (const char* line : {R"({"query": "Q", "choices": ["a", "b"], "gold": 1})",
                           R"({"question": "Q", "choices": ["a", "b"], "answer": "B"})",
                           R"({"ctx": "Q", "endings": ["a", "b"], "label": "1"})"}) {
    const Task task = only(line);
    EXPECT_EQ(task.texts, (std::vector<std::string>{"Q a", "Q b"})) << line;
    EXPECT_EQ(task.right, (std::vector<bool>{false, true}));
    EXPECT_TRUE(task.starts.empty());
  }
}

TEST(TaskFile, PublishedForms) {
  EXPECT_EQ(only(R"({"activity_label": "Baking", "ctx": "He", "endings": ["a", "b", "c", "d"], "label": 2})")
                .texts[2],
            "Baking: He c");
  const Task arc = only(
      R"({"question": "Q?", "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]}, "answerKey": "3"})");
  EXPECT_EQ(arc.texts[0], "Question: Q? x");
  EXPECT_EQ(arc.right, (std::vector<bool>{false, false, true}));
  const Task truth = only(R"({"question": "Q?", "mc1_targets": {"choices": ["x", "y"], "labels": [0, 1]}})");
  EXPECT_EQ(truth.right, (std::vector<bool>{false, true}));
}

TEST(TaskFile, AByteOrderMarkIsNoPartOfTheText) {
  const std::string line = R"({"query": "Q", "choices": ["a", "b"], "gold": 1})";
  EXPECT_EQ(parse_tasks("\xef\xbb\xbf" + line + "\n", "file", 0).size(), 1u);
  EXPECT_EQ(parse_tasks("\xef\xbb\xbfHe\n3\na\nb\nc\nd\n", "file", 0)[0].texts[0], "He a");
}

TEST(TaskFile, WinoGrandeInBothForms) {
  for (const char* line :
       {R"({"context_options": ["so Ann", "so Bea"], "continuation": "won.", "gold": 1})",
        R"({"sentence": "so _ won.", "option1": "Ann", "option2": "Bea", "answer": "2"})"}) {
    const Task task = only(line);
    EXPECT_EQ(task.texts, (std::vector<std::string>{"so Ann won.", "so Bea won."}));
    EXPECT_EQ(task.starts, (std::vector<std::string>{"so Ann", "so Bea"}));
    EXPECT_EQ(task.right, (std::vector<bool>{false, true}));
  }
}

TEST(TaskFile, HellaSwagAsText) {
  const std::string six = "Baking: He\r\n3\na\nb\nc\nd\n";
  const std::vector<Task> tasks = parse_tasks(six + six, "file", 0);
  ASSERT_EQ(tasks.size(), 2u);
  EXPECT_EQ(tasks[1].texts[3], "Baking: He d");
  EXPECT_EQ(tasks[1].right, (std::vector<bool>{false, false, false, true}));
  EXPECT_EQ(parse_tasks(six + six, "file", 1).size(), 1u);
  EXPECT_NE(refusal(six + "Baking: He\n3\na\n").find("tasks.jsonl:7"), std::string::npos);
  EXPECT_NE(refusal(six + "Baking: He\nfour\na\nb\nc\nd\n").find("tasks.jsonl:8"), std::string::npos);
}

TEST(TaskFile, MalformedLinesAreToldWithFileAndLine) {
  const std::string good = R"({"query": "Q", "choices": ["a", "b"], "gold": 1})"
                           "\n\n";
  for (const char* bad :
       {R"({"query": "Q", "choices": ["a", "b"], "gold": 1)",
        R"([1, 2])",
        R"({"query": "Q", "choices": ["a", "b"]})",
        R"({"query": "Q", "choices": ["a", "b"], "gold": 2})",
        R"({"query": "Q", "choices": ["a", "b"], "gold": -1})",
        R"({"query": "Q", "choices": ["a", "b"], "gold": 18446744073709551615})",
        R"({"query": "Q", "choices": ["a", "b"], "gold": 1.5})",
        R"({"query": "Q", "choices": ["a"], "gold": 0})",
        R"({"query": "Q", "choices": ["a", ""], "gold": 0})",
        R"({"query": "Q", "choices": ["a", 7], "gold": 0})",
        R"({"query": 7, "choices": ["a", "b"], "gold": 0})",
        R"({"choices": ["a", "b"], "gold": 0})",
        R"({"query": "Q", "gold": 0})",
        R"({"question": "Q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "C"})",
        R"({"question": "Q", "choices": {"text": ["a", "b"], "label": ["A"]}, "answerKey": "A"})",
        R"({"question": "Q", "mc1_targets": {"choices": ["a", "b"], "labels": [1]}})",
        R"({"question": "Q", "mc1_targets": {"choices": ["a", "b"], "labels": [0, 0]}})",
        R"({"question": "Q", "mc1_targets": {"choices": ["a", "b"], "labels": ["x", 1]}})",
        R"({"sentence": "none", "option1": "a", "option2": "b", "answer": "1"})",
        R"({"sentence": "a _ b", "option1": "a", "option2": "b", "answer": "0"})"})
    EXPECT_NE(refusal(good + bad).find("tasks.jsonl:3"), std::string::npos) << bad << "\n"
                                                                            << refusal(good + bad);
  EXPECT_NE(refusal("").find("no task"), std::string::npos);
  EXPECT_NE(refusal(" \n").find("tasks.jsonl"), std::string::npos);
}

}  // namespace
}  // namespace snug::cli

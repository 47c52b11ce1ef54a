#pragma once

#include <string>
#include <vector>

#include "eval/multiple_choice.hpp"

namespace snug::cli {

/// Tasks as plain JSON, one a line; each line is one of
///   HellaSwag, ARC, MMLU, any other  {"query" | "question" | "ctx" | "context": TEXT,
///                                     "choices" | "endings" | "answers": [TEXT...],
///                                     "gold" | "label" | "answer": INDEX from 0, or a letter from A}
///   ARC as published         {"question": TEXT, "choices": {"text": [...], "label": [...]},
///                             "answerKey": LABEL}
///   TruthfulQA as published  {"question": TEXT, "mc1_targets": {"choices": [...], "labels": [1, 0, ...]}}
///   WinoGrande               {"context_options": [TEXT, TEXT], "continuation": TEXT, "gold": INDEX}
///   WinoGrande as published  {"sentence": TEXT with one _, "option1": TEXT, "option2": TEXT,
///                             "answer": "1" | "2"}
/// HellaSwag may also come as llama.cpp's text: six lines a task, the context, the index, four endings.
/// `most` > 0: only so many. Throws Error naming file and line.
std::vector<infer::Task> read_tasks(const std::string& path, int64_t most);
std::vector<infer::Task> parse_tasks(const std::string& text, const std::string& path, int64_t most);

}  // namespace snug::cli

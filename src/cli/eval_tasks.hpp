#pragma once

#include <string>

#include "infer/session.hpp"

namespace snug::cli {

struct TaskArgs {
  std::string model, name, file;
  int64_t most = 0;  // tasks; 0: all
  infer::SessionOptions session{};
  bool json = false;
};

/// Scores the tasks of a file and prints the share of right answers.
void evaluate_tasks(const TaskArgs& args);

}  // namespace snug::cli

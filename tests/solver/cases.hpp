#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "snug/solve.hpp"

namespace snug::test {

/// A model's tensors with published losses, and the budgets to try.
struct SolverCase {
  std::string name;
  Problem problem;
  std::vector<std::vector<std::string>> formats;  // of each choice
  std::vector<int64_t> budgets;
};

inline SolverCase read_solver_case(const std::filesystem::path& file) {
  const auto json = nlohmann::json::parse(std::ifstream{file});
  SolverCase read{file.stem().string(), {}, {}, json.at("budgets_bytes").get<std::vector<int64_t>>()};
  for (const auto& tensor : json.at("tensors")) {
    auto& choices = read.problem.tensors.emplace_back();
    auto& formats = read.formats.emplace_back();
    for (const auto& c : tensor.at("choices")) {
      choices.push_back({c.at("bytes").get<int64_t>(), c.at("loss").get<int64_t>()});
      formats.push_back(c.at("format").get<std::string>());
    }
  }
  return read;
}

inline std::vector<SolverCase> read_solver_cases(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator{folder})
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::ranges::sort(files);
  std::vector<SolverCase> cases;
  for (const auto& file : files) cases.push_back(read_solver_case(file));
  return cases;
}

}  // namespace snug::test

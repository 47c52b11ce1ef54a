#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/common.hpp"
#include "cli/options/budgets.hpp"
#include "cli/options/memory_option.hpp"
#include "cli/options/options.hpp"
#include "cli/projector.hpp"
#include "snug/fit_request.hpp"

namespace snug::cli {

/// What a person says to `snug fit`, and the request it makes.
struct FitArgs {
  CommonArgs common;
  MemoryOption memory;
  ModelArgs model;
  MeasureArgs measure;
  CalibrationArgs calibration;
  PlanArgs plan;
  ProjectorArgs projector;
  std::string out, recipe, feedback = "auto";
  bool dry_run = false, estimate = false, force = false, strict = false, fold = false, decide_anew = false;

  void add_to(CLI::App& command);
  Existing existing() const { return force ? Existing::replace : Existing::refuse; }
  /// A size for each budget. Output names that nobody gave are said before the work. Throws Error of Fault::usage where
  /// there is no budget, or where two would have one name.
  FitRequest request(const std::vector<NamedBudget>& budgets) const;

 private:
  void add_outputs_to(CLI::App& command);
  void add_effort_to(CLI::App& command);
  std::vector<FitSize> sizes(const std::vector<NamedBudget>& budgets) const;
  std::vector<std::string> outputs(const std::vector<NamedBudget>& budgets) const;
};

}  // namespace snug::cli

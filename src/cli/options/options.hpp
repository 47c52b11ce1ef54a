#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/files/output_guard.hpp"
#include "cli/options/budgets.hpp"
#include "fit/inputs.hpp"
#include "measure/measure.hpp"
#include "plan/plan.hpp"
#include "snug/evidence_options.hpp"
#include "snug/plan_options.hpp"

namespace snug::cli {

/// MODEL and --imatrix.
struct ModelArgs {
  std::string model, imatrix, moments;

  void add_to(CLI::App& command);
  void add_imatrix_to(CLI::App& command);  // where the model is an option of the command's own
  void add_moments_to(CLI::App& command);
  InputFiles files() const { return {imatrix, moments}; }
};

/// snug::guard_for() of a command's options.
OutputGuard guard_for(Existing existing, const ModelArgs& model, const std::string& text,
                      const std::string& out = {}, int64_t split_bytes = 0, const std::string& runtime = "llama.cpp");

/// How measuring is done, and where it is kept.
struct MeasureArgs {
  std::string state, formats, runtime = "llama.cpp", effort = "normal", shard;
  double precision = 0.02;
  bool allow_requantize = false;

  void add_to(CLI::App& command, bool with_shard);
  MeasureOptions options() const;
  /// --state, or where measurements of the model are kept (measurements_of()).
  std::filesystem::path state_path(const ModelSource& model) const;
};

/// Options of the model's own run: --calib, --no-probe, --probe-chunks, --probe-context.
struct CalibrationArgs {
  std::string calib;  // a file, "self", or "built-in"; empty: by the room there is
  bool no_probe = false;
  std::string probe = "auto";
  int64_t chunks = CalibrationRequest{}.chunks, context = CalibrationRequest{}.context;

  void add_to(CLI::App& command);
  CalibrationRequest request() const;
};

/// The budget and what is asked of single tensors.
struct PlanArgs {
  std::vector<std::string> sizes, bpws;
  std::string active_size, split_size;
  SelectionRules rules;
  std::vector<std::string> caps;
  int max_formats = 0;
  double seconds = 60;

  void add_to(CLI::App& command, bool several);  // several: budgets, in a list
  std::vector<NamedBudget> budgets() const { return named_budgets(sizes, bpws); }
  PlanOptions options() const;  // with the first budget
};

/// --fold, in the group that is open.
void add_fold_to(CLI::App& command, bool& fold);

Effort parse_effort(const std::string& text);

}  // namespace snug::cli

#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.hpp"
#include "snug/model.hpp"
#include "imatrix/importance.hpp"
#include "measure/measure.hpp"
#include "imatrix/second_moment.hpp"
#include "snug/state.hpp"

namespace snug::cli {

/// MODEL and --imatrix.
struct ModelArgs {
  std::string model, imatrix, moments;

  void add_to(CLI::App& command);
  void add_imatrix_to(CLI::App& command);  // where the model is an option of the command's own
  void add_moments_to(CLI::App& command);
  /// Nothing without --imatrix. Says on stderr what does not match; throws Error where it cannot be used.
  std::optional<Importance> load_importance(const ModelSource& model_file) const;
  /// Second moments out of --moments, or of the --imatrix if it has some.
  std::optional<SecondMoments> load_moments() const;
};

/// How measuring is done, and where it is kept.
struct MeasureArgs {
  std::string state, formats, runtime = "llama.cpp", effort = "normal", shard;
  double precision = 0.02;
  bool allow_requantize = false;

  void add_to(CLI::App& command, bool with_shard);
  MeasureOptions options() const;
  /// --state, or <model stem>.snug-state in `folder`.
  std::filesystem::path state_path(const std::string& model, const std::filesystem::path& folder) const;
};

/// The budget and what is asked of single tensors.
struct PlanArgs {
  std::string size, active_size, split_size;
  std::optional<double> bpw;
  SelectionRules rules;
  std::vector<std::string> caps;
  int max_formats = 0;
  double seconds = 60;

  void add_to(CLI::App& command);
  PlanOptions options() const;
};

Effort parse_effort(const std::string& text);

}  // namespace snug::cli

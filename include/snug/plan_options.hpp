#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "snug/budget.hpp"

namespace snug {

/// What is asked of single tensors: pins "REGEX=FORMAT", least and most bits "[REGEX=]FORMAT", groups "REGEX".
/// A regex (Perl's) matches anywhere in a tensor's name; anchor it with ^ and $ to match the whole.
struct SelectionRules {
  std::vector<std::string> pins, mins, maxs, groups;
};

/// The budget, and wishes beyond it.
struct PlanOptions {
  Budget budget{};
  SelectionRules rules{};
  std::vector<std::string> caps{};        // REGEX=SIZE: the tensors it finds take no more together
  int max_formats = 0;                    // at most so many different formats; 0: any number
  std::optional<int64_t> active_bytes{};  // read per token: a used/experts share of expert tensors, one row of token_embd
  int64_t split_bytes = 0;
  double seconds = 60;                    // the solver's time
  std::string runtime = "llama.cpp";      // that will load the output; fit() takes that of MeasureOptions
  bool notes = true;                      // keys of ours in the file, left out where their bytes buy enough
  /// The text that the plan will be run on, whose name and figures the file then says: room for them is planned. Empty:
  /// it will not be run.
  std::string judged_on{};

  /// The wishes beyond the budget that a recipe has to keep, by their options: "--max-formats 2, --pin".
  std::string limits() const;

  /// No wishes beyond the budget: any recipe of that size will do.
  bool is_plain() const;
};

}  // namespace snug

#pragma once

#include <string>
#include <vector>

#include "cli/options/budgets.hpp"
#include "snug/fit.hpp"

namespace snug::cli {

/// Several sizes of one model in a table: a line each, with what was measured of it. `budgets` are those of `results`.
std::string ladder_text(const std::vector<NamedBudget>& budgets, const std::vector<FitResult>& results);

/// {"steps": [...]}, each with its label and what fit_json() says of one size.
std::string ladder_json(const std::vector<NamedBudget>& budgets, const std::vector<FitResult>& results);

}  // namespace snug::cli

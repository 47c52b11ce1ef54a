#pragma once

#include <string>
#include <vector>

#include "cli/options/budgets.hpp"
#include "snug/fit.hpp"

namespace snug::cli {

/// What `snug fit` prints at the end: fit_text() of one size, of several a table with a line each, what was measured of it
/// included. `budgets` are those of `results`.
std::string fits_text(const std::vector<NamedBudget>& budgets, const std::vector<FitResult>& results);

/// fit_json() of one size, of several {"steps": [...]}: each with its label and what fit_json() says of it.
std::string fits_json(const std::vector<NamedBudget>& budgets, const std::vector<FitResult>& results);

}  // namespace snug::cli

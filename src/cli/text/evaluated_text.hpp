#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "snug/evaluated_recipe.hpp"

namespace snug::cli {

/// What was run against the original: predicted beside measured of every recipe tried, and which one it is.
/// Empty where nothing was run.
std::string judged_text(const std::vector<EvaluatedRecipe>& judged, int64_t holdout_tokens);

}  // namespace snug::cli

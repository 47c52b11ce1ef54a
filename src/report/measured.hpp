#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "recipe/measured_recipe.hpp"

namespace snug::report {

using MeasuredPoint = MeasuredRecipe;

/// How well predictions agree with measurements, over the points that have both.
struct Agreement {
  int64_t points = 0;
  double rank_correlation = 0;  // Spearman's, ties at their mean rank; 0 for fewer than 3 points
  double median_factor = 0;     // the median of max(measured / predicted, predicted / measured)
  double median_ratio = 0;      // the median of measured / predicted
};
Agreement agreement_of(const std::vector<MeasuredPoint>& points);

/// Reads a list of measurements. JSON: an array of {"label", "bytes", "predicted", "measured", "se"}, of
/// which "measured" must be there; {"recipe": FILE} in place of label, bytes and predicted takes them from a
/// recipe (the path relative to the list); "perplexity" and "same_top" (a share) are shown where they are. What `snug eval
/// --json` prints of a model and its original counts as a list of one. CSV: a header line with the same names, in any
/// order. Throws Error that says which entry and what was expected.
std::vector<MeasuredPoint> read_measured(const std::filesystem::path& path);

}  // namespace snug::report

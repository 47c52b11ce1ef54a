#pragma once

#include <vector>

#include "recipe/saved_profile.hpp"
#include "report/report.hpp"
#include "snug/recipe.hpp"

namespace snug::report {

/// The best recipe of `budgets` sizes, in equal ratios from the smallest to the largest that can be reached,
/// and of the file sizes `also`: where something else of that size is compared with it.
std::vector<CurvePoint> make_curve(const SavedProfile& saved, int budgets,
                                   const std::vector<int64_t>& also = {});

/// Each preset of llama.cpp whose formats were all measured, rising by size; those that choose the same for
/// every tensor are one.
std::vector<PresetPoint> preset_points(const SavedProfile& saved);

/// The best recipe of at most so many bits per weight. Throws Error of Fault::unreachable_budget.
Recipe plan_without_model(const SavedProfile& saved, double bits_per_weight);

}  // namespace snug::report

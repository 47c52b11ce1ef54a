#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "recipe/saved_profile.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// Sizes as everywhere: bytes of the whole output file, bits per weight of tensor data. Losses in nats per
/// token of KL divergence.
struct CurvePoint {
  int64_t file_bytes = 0, tensor_bytes = 0;
  double bits_per_weight = 0, loss = 0;
  std::string mix;  // "q4_K 62 %, q6_K 38 %", by bytes
};

/// A preset of llama.cpp, or several that come to the same ("q4_0, q4_k_s").
struct PresetPoint {
  std::string name;
  int64_t file_bytes = 0, tensor_bytes = 0;
  double bits_per_weight = 0, loss = 0;
};

/// The best recipe of `budgets` sizes, in equal ratios from the smallest to the largest that can be reached,
/// and of the file sizes `also`: where something else of that size is compared with it.
std::vector<CurvePoint> make_curve(const SavedProfile& saved, int budgets,
                                   const std::vector<int64_t>& also = {});

/// Each preset of llama.cpp whose formats were all measured, rising by size; those that choose the same for
/// every tensor are one.
std::vector<PresetPoint> preset_points(const SavedProfile& saved);

/// The best recipe of at most so many bits per weight. Throws Error of Fault::unreachable_budget.
Recipe plan_without_model(const SavedProfile& saved, double bits_per_weight);

}  // namespace snug

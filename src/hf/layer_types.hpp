#pragma once

#include <string>
#include <vector>

#include "hf/keys.hpp"

// Layers of two kinds, which GGUF tells apart by a period.
namespace snug::hf {

/// The p for which every p-th layer, and no other, has full attention: `usual` where that is so, else the smallest; one
/// more than there are layers where none has. 0 if there is no such p.
int64_t period_of(const std::vector<std::string>& layer_types, int64_t usual);

/// attention.sliding_window_pattern, where the period is not the one that loaders take for granted. Without layer_types
/// it is `said`. Error where the layers have no period.
void add_window_period(const Config& config, int64_t usual, int64_t said, Keys& keys);

}  // namespace snug::hf

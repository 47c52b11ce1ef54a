#pragma once

#include <string>
#include <vector>

#include "snug/model.hpp"

namespace snug::mlx {

/// What mlx_lm 0.32.2 does not compute of a model, whoever writes its folder: a sentence each.
std::vector<std::string> shortcomings(const ModelSource& model);

/// Whether mlx_lm's class of an architecture leaves rotary frequencies as they are, whatever config.json
/// says.
bool ignores_rope_scaling(std::string_view architecture, int64_t experts);

}  // namespace snug::mlx

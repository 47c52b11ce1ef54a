#pragma once

#include <vector>

#include "snug/model.hpp"

namespace snug {

/// The tensors in the order of recipes, which is that of files written by llama-quantize: by layer, those outside
/// layers first, then by name.
std::vector<const Tensor*> in_recipe_order(const ModelSource& model);

}  // namespace snug

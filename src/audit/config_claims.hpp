#pragma once

#include <string>
#include <vector>

#include "hf/config.hpp"
#include "safetensors/checkpoint.hpp"

namespace snug {

/// What config.json of a folder of MLX says that its tensors do not bear out, or that one of the two loaders cannot
/// read: modules said to be quantized without scales or the reverse, values that are null, a copy of the quantization
/// block that is another, a head stored beside a tied one.
std::vector<std::string> contradictions_of_config(const hf::Config& config, const safetensors::Checkpoint& weights);

}  // namespace snug

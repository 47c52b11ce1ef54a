#pragma once

#include <vector>

#include "hf/config.hpp"
#include "hf/sources.hpp"

namespace snug::hf {

/// Whether config.json is of a folder that MLX quantized: it has a block "quantization".
bool has_mlx_quantization(const Config& config);

/// Puts the quantized weights of such a folder together: of "x.weight", "x.scales" and "x.biases" the first becomes a
/// tensor of one of MLX's formats, whose blocks are made on reading, and the others are no sources any more. Which
/// format, the block says as mlx_lm reads it: of the module's path, else of all. Scales in f32, which no format has,
/// give f32 weights made on reading. Throws Error naming block or tensor where they contradict each other.
void join_mlx_codes(std::vector<Source>& sources, const Config& config);

}  // namespace snug::hf

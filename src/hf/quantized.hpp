#pragma once

#include <string>
#include <vector>

#include "hf/config.hpp"
#include "hf/sources.hpp"

namespace snug::hf {

/// Pairs quantized weights with their scales, as quantization_config of config.json says: such a source then has
/// bf16 weights made on reading, and the scales are no sources any more. Knows FP8 with block, row or tensor scales,
/// and compressed-tensors' float-, int- and pack-quantized; gpt-oss's MXFP4 stays packed. Throws Error on
/// others, naming the method. Weights that MLX quantized keep its formats (join_mlx_codes).
void decode_quantized(std::vector<Source>& sources, const Config& config, std::vector<std::string>& remarks);

}  // namespace snug::hf

#pragma once

#include <string>
#include <string_view>

#include "gguf/reader.hpp"
#include "snug/digest.hpp"

namespace snug {

/// What a recipe for this model depends on besides the weights: names, shapes and formats of its tensors.
std::string model_digest(const gguf::Reader& model);

/// Everything a forward pass depends on: hyperparameters and all weights. Reads the whole model.
Digest contents_digest(const gguf::Reader& model, std::string_view architecture);

}  // namespace snug

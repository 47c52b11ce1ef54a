#pragma once

#include <string_view>

#include "gguf/reader.hpp"
#include "snug/digest.hpp"

namespace snug {

/// Everything a forward pass depends on: hyperparameters and all weights. Reads the whole model.
Digest contents_digest(const gguf::Reader& model, std::string_view architecture);

}  // namespace snug

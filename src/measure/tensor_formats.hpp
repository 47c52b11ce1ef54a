#pragma once

#include <map>
#include <string>

#include "snug/format.hpp"

namespace snug {

/// Formats of those tensors that are not left as they are in the model.
using TensorFormats = std::map<std::string, FormatId, std::less<>>;

}  // namespace snug

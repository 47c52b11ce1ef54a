#pragma once

#include <string>
#include <variant>
#include <vector>

#include "snug/model.hpp"

namespace snug {

/// A key to write: one carried over from a ModelSource (views stay valid while it lives) or one of our own.
struct OutputKey {
  std::string key;
  std::variant<MetadataValue, std::string, std::vector<std::string>, std::vector<float>> value;
};

}  // namespace snug

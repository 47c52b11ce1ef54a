#pragma once

#include <ostream>

#include "tools/arch_models/arch_models.hpp"

namespace snug::tools {

/// How GoogleTest shows one.
inline void PrintTo(const ArchModel& model, std::ostream* out) {
  *out << model.name;
}

}  // namespace snug::tools

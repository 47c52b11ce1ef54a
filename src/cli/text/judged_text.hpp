#pragma once

#include <string>

#include "fit/closed_loop.hpp"

namespace snug::cli {

/// What was run against the original: predicted beside measured of every recipe tried, and which one it is.
/// Empty where nothing was run.
std::string judged_text(const LoopResult& result);

}  // namespace snug::cli

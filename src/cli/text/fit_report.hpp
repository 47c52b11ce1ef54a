#pragma once

#include <string>

#include "snug/fit.hpp"

namespace snug::cli {

/// What came of one size: a table for people, one JSON document for scripts.
std::string fit_text(const FitResult& result);
std::string fit_json(const FitResult& result);

}  // namespace snug::cli

#pragma once

#include <string>

#include "fit/fit.hpp"

namespace snug::cli {

/// What `snug fit` prints at the end: a table for people, one JSON document for scripts.
std::string fit_text(const FitResult& result);
std::string fit_json(const FitResult& result);

}  // namespace snug::cli

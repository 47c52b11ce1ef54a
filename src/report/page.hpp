#pragma once

#include <string>

#include "report/report.hpp"

namespace snug::report {

/// The report as one HTML page that needs nothing else: no network, and scripts only for tips at the pointer.
std::string to_html(const Report& report);

/// The page's style sheet and script.
extern const char* const kStyle;
extern const char* const kScript;

}  // namespace snug::report

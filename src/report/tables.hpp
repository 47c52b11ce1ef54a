#pragma once

#include <string>

#include "report/report.hpp"

namespace snug::report {

/// One table for spreadsheets and scripts. The first column says what a line is: "recipe", "curve",
/// "preset", "tensor" or "measured"; columns that do not apply are empty. Quoted as RFC 4180 has it.
std::string to_csv(const Report& report);

/// One document, "snug_report" 1: docs/report.md lists its keys.
std::string to_json(const Report& report);

}  // namespace snug::report

#pragma once

#include <string>

#include "report/report.hpp"

namespace snug::report {

/// The chart of loss against size as a file of its own, 1000 by 460, light: for a README. Throws Error of Fault::usage
/// where the report has no curve.
std::string to_svg(const Report& report);

}  // namespace snug::report

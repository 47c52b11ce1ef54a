#pragma once

#include <string>

#include "report/report.hpp"

namespace snug::report {

/// The drawing of to_svg() as a picture, 2000 by 920, for places that show no SVG. librsvg draws it, which is loaded when
/// it is asked for: throws Error where it is not installed, or cannot draw; of Fault::usage where the report has no curve.
std::string to_png(const Report& report);

}  // namespace snug::report

#pragma once

#include <string>

#include "report/report.hpp"

namespace snug::report {

/// Every chart is drawn twice, for a page and for a phone: the page's style shows one of them.
enum class Width { page, phone };

/// Loss of the best recipe against size, presets and the recipe marked.
std::string curve_chart(const Report& report, Width width);

/// Format of every tensor: a line per role, a column per layer; tensors outside layers above.
std::string heat_map(const Report& report, Width width);
/// What the colours of the heat map mean, and what it leaves out.
std::string heat_legend(const Report& report);

/// The tensors an error in which costs most: alpha with its standard error, share of the loss, format.
std::string sensitivity_table(const Report& report);

/// Measured against predicted divergence of whole recipes.
std::string measured_chart(const Report& report, Width width);

/// Where the predicted loss is from, and how far it may be off.
std::string certainty_panel(const Report& report);

}  // namespace snug::report

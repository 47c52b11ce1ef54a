#include "report/svg_file.hpp"

#include "base/str.hpp"
#include "report/charts.hpp"
#include "snug/error.hpp"

namespace snug::report {
namespace {

/// The page's light colours, without its variables: programs that draw SVG alone do not know them.
constexpr const char* kStyle = R"css(
text { font: 12px system-ui, Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1c2430; }
.tick { fill: #5b6675; font-size: 11.5px; } .name { fill: #5b6675; }
.label { font-weight: 650; font-size: 13px; fill: #c8501e; } .preset-label { fill: #5b6675; font-size: 11.5px; }
.axis { stroke: #5b6675; } .faint { stroke: #dde3ea; } .grid { stroke: #eef1f5; } .grid.strong { stroke: #dde3ea; }
.curve { fill: none; stroke: #2f6fb5; stroke-width: 2.25; stroke-linejoin: round; }
.band, .dot { fill: none; } .preset circle { fill: #ffffff; stroke: #6b7685; stroke-width: 1.6; }
.chosen circle { fill: #c8501e; stroke: #ffffff; stroke-width: 1.5; }
.ran line { stroke: #c8501e; stroke-width: 1.6; } .ran circle { fill: #ffffff; stroke: #c8501e; stroke-width: 2; }
)css";

}  // namespace

std::string to_svg(const Report& report) {
  const std::string chart = curve_chart(report, Width::page);
  if (chart.empty())
    throw Error{"there is no curve to draw: the measurements are not at hand", "",
                "name the state that the recipe was planned with, or the model", Fault::usage};
  const size_t inside = chart.find('>') + 1;
  return str("<svg xmlns=\"http://www.w3.org/2000/svg\"", chart.substr(4, inside - 4), "\n<style>", kStyle,
             "</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>", chart.substr(inside));
}

}  // namespace snug::report

#include <algorithm>
#include <cmath>

#include "base/str.hpp"
#include "base/units.hpp"
#include "report/charts.hpp"
#include "report/html.hpp"

namespace snug::report {
namespace {

constexpr double kGoodFactor = 1.3;
constexpr double kLeastRange = 10;  // of an axis, its end over its beginning

bool is_shown(const MeasuredPoint& p) {
  return p.predicted > 0 && p.measured > 0;
}

class MeasuredChart {
 public:
  MeasuredChart(const Report& report, Width width)
      : report_(report),
        phone_(width == Width::phone),
        width_(phone_ ? 400 : 1000),
        height_(phone_ ? 380 : 460),
        svg_(width_, height_, "Measured against predicted divergence"),
        x_(scale(true)),
        y_(scale(false)),
        labels_({x_.begin, y_.end, width_ - 2.0, y_.begin}) {}

  std::string draw() && {
    draw_axes();
    draw_diagonal();
    for (const MeasuredPoint& p : report_.measured)
      if (is_shown(p)) draw_point(p);
    for (const MeasuredPoint& p : report_.measured)
      if (is_shown(p)) label_point(p);
    return std::move(svg_).finish();
  }

 private:
  /// The same numbers on both axes, at least a decade of them, so that few points are seen for what they are.
  Scale scale(bool horizontal) const {
    double low = 1e300, high = 0;
    for (const MeasuredPoint& p : report_.measured) {
      if (!is_shown(p)) continue;
      low = std::min({low, p.predicted, std::max(p.measured - p.error, p.measured / 3)});
      high = std::max({high, p.predicted, p.measured + p.error});
    }
    const double margin = std::max(1.4, std::sqrt(kLeastRange * low / high));
    low /= margin, high *= margin;
    return horizontal ? Scale{low, high, phone_ ? 50.0 : 70.0, width_ - 20.0, true}
                      : Scale{low, high, height_ - 48.0, 24.0, true};
  }

  void draw_axes() {
    for (const LogTick& tick : log_ticks(y_.low, y_.high)) {
      svg_.line(x_.begin, y_(tick.value), x_.end, y_(tick.value), tick.decade ? "grid strong" : "grid");
      svg_.text(x_.begin - 8, y_(tick.value) + 4, significant(tick.value, 2), "tick", Svg::Anchor::end);
    }
    for (const LogTick& tick : log_ticks(x_.low, x_.high)) {
      svg_.line(x_(tick.value), y_.begin, x_(tick.value), y_.begin + 5, "axis");
      if (!phone_ || tick.decade)
        svg_.text(x_(tick.value), y_.begin + 19, significant(tick.value, 2), "tick", Svg::Anchor::middle);
    }
    svg_.line(x_.begin, y_.begin, x_.end, y_.begin, "axis");
    svg_.text((x_.begin + x_.end) / 2, height_ - 8, "predicted, nats per token", "name", Svg::Anchor::middle);
    svg_.text(4, 12, "measured, nats per token", "name");
  }

  /// measured = factor * predicted, cut to the drawing.
  std::string diagonal(double factor, bool forth) const {
    const double from = std::max(x_.low, y_.low / factor), to = std::min(x_.high, y_.high / factor);
    if (from >= to) return "";
    const auto point = [&](double v) { return str(fixed(x_(v), 1), " ", fixed(y_(v * factor), 1)); };
    return forth ? str(point(from), "L", point(to)) : str(point(to), "L", point(from));
  }

  void draw_diagonal() {
    const std::string above = diagonal(kGoodFactor, true), below = diagonal(1 / kGoodFactor, false);
    if (!above.empty() && !below.empty()) svg_.path(str("M", above, "L", below, "Z"), "good");
    if (const std::string middle = diagonal(1, true); !middle.empty()) svg_.path(str("M", middle), "equal");
  }

  void draw_point(const MeasuredPoint& p) {
    const double x = x_(p.predicted), y = y_(p.measured);
    std::string tip =
        str(p.label, "\npredicted ", show_loss(p.predicted), ", measured ", show_loss(p.measured));
    if (p.error > 0) tip += str(" ± ", show_loss(p.error));
    if (p.bytes > 0) tip += str("\n", show_megabytes(p.bytes));
    svg_.open("measured", tip);
    if (p.error > 0)
      svg_.line(x, y_(std::max(p.measured - p.error, y_.low)), x, y_(std::min(p.measured + p.error, y_.high)),
                "");
    svg_.circle(x, y, 4, "");
    svg_.close();
    labels_.block({x - 5, y - 5, x + 5, y + 5});
  }

  void label_point(const MeasuredPoint& p) {
    const std::string& label = p.label;
    const double length = 6.3 * static_cast<double>(label.size());
    const double x = x_(p.predicted), y = y_(p.measured);
    if (label.empty() || label.size() > 28) return;
    if (labels_.take({x + 8, y - 6, x + 8 + length, y + 6}))
      svg_.text(x + 8, y + 4, label, "preset-label");
    else if (labels_.take({x - 8 - length, y - 6, x - 8, y + 6}))
      svg_.text(x - 8, y + 4, label, "preset-label", Svg::Anchor::end);
  }

  const Report& report_;
  bool phone_;
  double width_, height_;
  Svg svg_;
  Scale x_, y_;
  LabelPlaces labels_;
};

}  // namespace

std::string measured_chart(const Report& report, Width width) {
  return report.agreement.points == 0 ? "" : MeasuredChart{report, width}.draw();
}

}  // namespace snug::report

#include <algorithm>
#include <array>
#include <cmath>

#include "base/str.hpp"
#include "base/units.hpp"
#include "report/charts.hpp"
#include "report/html.hpp"

namespace snug::report {
namespace {

constexpr double kMaxBits = 9;      // a page's width is for sizes where something is lost
constexpr double kMinLoss = 1e-6;  // below, arithmetic of the runtime matters more
constexpr double kLetter = 6.3;      // pixels of a letter of a label, about

/// The presets that people know; the others are labelled where room is left.
constexpr std::array kFamiliar{"q4_k_m", "q8_0", "q6_k",  "q5_k_m",  "q3_k_m", "iq4_xs", "q2_k",   "iq3_xxs",
                               "iq2_m",  "q4_0", "iq1_s", "iq2_xxs", "iq3_m",  "q5_0",   "q3_k_s", "q4_k_s"};

class CurveChart {
 public:
  CurveChart(const Report& report, Width width)
      : report_(report),
        phone_(width == Width::phone),
        width_(phone_ ? 400 : 1000),
        height_(phone_ ? 380 : 460),
        units_(units_for(largest_size())),
        x_(size_scale()),
        y_(loss_scale()),
        svg_(width_, height_, "Predicted loss against file size"),
        labels_({x_.begin, y_.end, width_ - 2.0, y_.begin}) {}

  std::string draw() && {
    draw_axes();
    draw_curve();
    draw_recipe();
    draw_presets();
    return std::move(svg_).finish();
  }

 private:
  bool is_shown(double bits, double loss) const {
    return bits <= std::max(kMaxBits, report_.bits_per_weight * 1.05) && loss >= kMinLoss;
  }

  int64_t largest_size() const {
    int64_t largest = report_.file_bytes;
    for (const CurvePoint& p : report_.curve)
      if (is_shown(p.bits_per_weight, p.loss)) largest = std::max(largest, p.file_bytes);
    return largest;
  }

  Scale size_scale() const {
    const auto least = static_cast<double>(std::min(report_.curve.front().file_bytes, report_.file_bytes));
    const auto most = static_cast<double>(largest_size());
    const double room = 0.03 * (most - least) + 1;
    return {least - room, most + room, phone_ ? 54.0 : 66.0, width_ - (phone_ ? 10.0 : 20.0)};
  }

  Scale loss_scale() const {
    double low = report_.curve_loss > 0 ? report_.curve_loss : 1, high = low;
    const auto include = [&](double bits, double loss) {
      if (!is_shown(bits, loss)) return;
      low = std::min(low, loss);
      high = std::max(high, loss);
    };
    for (const CurvePoint& p : report_.curve) include(p.bits_per_weight, p.loss);
    for (const PresetPoint& p : report_.presets) include(p.bits_per_weight, p.loss);
    if (report_.measured_recipe) include(report_.bits_per_weight, report_.measured_recipe->kl);
    return {low / 1.3, high * 1.4, height_ - 48.0, 40.0, true};
  }

  double x(int64_t bytes) const { return x_(static_cast<double>(bytes)); }

  void draw_axes() {
    for (const LogTick& tick : log_ticks(y_.low, y_.high)) {
      svg_.line(x_.begin, y_(tick.value), x_.end, y_(tick.value), tick.decade ? "grid strong" : "grid");
      if (tick.decade || y_.high / y_.low < 300)
        svg_.text(x_.begin - 8, y_(tick.value) + 4, significant(tick.value, 2), "tick", Svg::Anchor::end);
    }
    for (const double size : round_ticks(x_.low / units_.decimal, x_.high / units_.decimal, phone_ ? 4 : 9)) {
      const double at = x_(size * units_.decimal);
      svg_.line(at, y_.begin, at, y_.begin + 5, "axis");
      svg_.text(at, y_.begin + 19, significant(size, 4), "tick", Svg::Anchor::middle);
    }
    svg_.line(x_.begin, y_.begin, x_.end, y_.begin, "axis");
    svg_.text((x_.begin + x_.end) / 2, height_ - 8, str("size of the file, ", units_.decimal_name), "name",
              Svg::Anchor::middle);
    draw_bits();
  }

  /// The same axis in bits per weight, above: what header and padding take is the same at every size.
  void draw_bits() {
    const auto beside = static_cast<double>(report_.file_bytes - report_.tensor_bytes);
    const double per_bit = static_cast<double>(report_.weights) / 8;
    for (int bits = 1; bits <= 16; ++bits) {
      const double size = beside + bits * per_bit;
      if (size < x_.low || size > x_.high) continue;
      svg_.line(x_(size), y_.end - 5, x_(size), y_.end, "axis");
      svg_.text(x_(size), y_.end - 9, str(bits), "tick", Svg::Anchor::middle);
    }
    svg_.line(x_.begin, y_.end, x_.end, y_.end, "axis faint");
    svg_.text((x_.begin + x_.end) / 2, 12, "bits per weight", "name", Svg::Anchor::middle);
    svg_.text(2, 12, phone_ ? "loss, nats" : "loss, nats per token", "name");
  }

  void draw_curve() {
    std::vector<const CurvePoint*> shown;
    for (const CurvePoint& p : report_.curve)
      if (is_shown(p.bits_per_weight, p.loss)) shown.push_back(&p);
    std::string d;
    for (const CurvePoint* p : shown)
      d += str(d.empty() ? "M" : "L", fixed(x(p->file_bytes), 1), " ", fixed(y_(p->loss), 1));
    svg_.path(d, "curve");
    for (size_t i = 0; i < shown.size(); ++i) {
      const CurvePoint& p = *shown[i];
      const double left = i == 0 ? x_.begin : (x(p.file_bytes) + x(shown[i - 1]->file_bytes)) / 2;
      const double right =
          i + 1 == shown.size() ? x_.end : (x(p.file_bytes) + x(shown[i + 1]->file_bytes)) / 2;
      svg_.open("point",
                str("best recipe of ", show_megabytes(p.file_bytes), ", ", fixed(p.bits_per_weight, 2),
                    " bits per weight\nloss ", show_loss(p.loss), "\n", p.mix));
      svg_.rect(left, y_.end, right - left, y_.begin - y_.end, "band");
      svg_.circle(x(p.file_bytes), y_(p.loss), 3.5, "dot");
      svg_.close();
      if (i > 0) block_line(x(shown[i - 1]->file_bytes), y_(shown[i - 1]->loss), x(p.file_bytes), y_(p.loss));
    }
  }

  /// No label stands on the curve.
  void block_line(double x1, double y1, double x2, double y2) {
    const int steps = 1 + static_cast<int>((std::abs(x2 - x1) + std::abs(y2 - y1)) / 5);
    for (int i = 0; i <= steps; ++i) {
      const double px = x1 + (x2 - x1) * i / steps, py = y1 + (y2 - y1) * i / steps;
      labels_.block({px - 2, py - 3, px + 2, py + 3});
    }
  }

  void draw_recipe() {
    if (!(report_.curve_loss > 0)) return;
    const double at_x = x(report_.file_bytes), at_y = y_(report_.curve_loss);
    const std::string what = report_.from_recipe ? "this recipe" : "plan shown below";
    svg_.open("chosen", str(what, ": ", report_.method, "\n", show_megabytes(report_.file_bytes), ", ",
                            fixed(report_.bits_per_weight, 2), " bits per weight\nloss ",
                            show_loss(report_.curve_loss)));
    svg_.circle(at_x, at_y, 6, "");
    const std::string loss = show_loss(report_.curve_loss);
    const auto width_of = [](const std::string& text) { return 7 * static_cast<double>(text.size()); };
    std::string label = str(what, ", ", loss);
    if (at_x - width_of(label) - 14 < x_.begin)
      label = loss;  // lower left of the curve there is nothing else
    // Below and to the left of the curve, or where that is taken, above and to the right.
    const bool right = measured_is_close(at_y) && at_x + 9 + width_of(label) < x_.end;
    const double base = at_y + (measured_is_close(at_y) ? -7 : 17), edge = at_x + (right ? 9 : -9);  // of the text
    svg_.text(edge, base, label, "label", right ? Svg::Anchor::start : Svg::Anchor::end);
    svg_.close();
    labels_.block({at_x - 8, at_y - 8, at_x + 8, at_y + 8});
    labels_.block({right ? edge : edge - width_of(label), base - 12, right ? edge + width_of(label) : edge, base + 4});
    if (report_.measured_recipe) draw_measured(at_x);
  }

  bool measured_is_close(double at_y) const {
    return report_.measured_recipe && report_.measured_recipe->kl > 0 && std::abs(y_(report_.measured_recipe->kl) - at_y) < 18;
  }

  /// What running the recipe gave, above or below what was predicted of it.
  void draw_measured(double at_x) {
    const Recipe::Measured& ran = *report_.measured_recipe;
    if (!(ran.kl > 0)) return;
    const double at_y = y_(ran.kl), least = std::max(ran.kl - ran.standard_error, y_.low);
    svg_.open("ran", str("measured: loss ", show_loss(ran.kl), " ± ", show_loss(ran.standard_error), "\non ",
                         show_count(ran.tokens), " held-out tokens"));
    svg_.line(at_x, y_(least), at_x, y_(std::min(ran.kl + ran.standard_error, y_.high)), "");
    svg_.circle(at_x, at_y, 5, "");
    const std::string label = str(at_x - x_.begin > 130 ? "measured, " : "", show_loss(ran.kl));
    svg_.text(at_x - 9, at_y + 17, label, "label", Svg::Anchor::end);
    svg_.close();
    labels_.block({at_x - 9 - 7 * static_cast<double>(label.size()), at_y - 7, at_x + 7, at_y + 21});
  }

  void draw_presets() {
    std::vector<const PresetPoint*> shown;
    for (const PresetPoint& p : report_.presets)
      if (is_shown(p.bits_per_weight, p.loss)) shown.push_back(&p);
    for (const PresetPoint* p : shown) {
      svg_.open("preset", str(p->name, "\n", show_megabytes(p->file_bytes), ", ",
                              fixed(p->bits_per_weight, 2), " bits per weight\nloss ", show_loss(p->loss)));
      svg_.circle(x(p->file_bytes), y_(p->loss), 4, "");
      svg_.close();
      const double at_x = x(p->file_bytes), at_y = y_(p->loss);
      labels_.block({at_x - 4, at_y - 4, at_x + 4, at_y + 4});
    }
    const auto rank = [](const PresetPoint* p) {
      return std::ranges::find(kFamiliar, p->name.substr(0, p->name.find(','))) - kFamiliar.begin();
    };
    std::ranges::stable_sort(shown, {}, rank);
    for (const PresetPoint* p : shown) label_preset(*p);
  }

  /// With all names of the preset where there is room, else with the first.
  void label_preset(const PresetPoint& p) {
    const size_t comma = p.name.find(',');
    if (p.name.size() <= 20 && take_place(p, p.name)) return;
    if (comma != std::string::npos) take_place(p, p.name.substr(0, comma) + ", …");
  }

  /// Above and to the right first: the curve is below and to the left of every preset.
  bool take_place(const PresetPoint& p, const std::string& label) {
    const double length = kLetter * static_cast<double>(label.size());
    const double at_x = x(p.file_bytes), at_y = y_(p.loss);
    struct Place {
      double x, y;
      Svg::Anchor anchor;
    };
    for (const Place place : {Place{at_x + 7, at_y - 5, Svg::Anchor::start},
                              {at_x + 8, at_y + 4, Svg::Anchor::start},
                              {at_x, at_y - 8, Svg::Anchor::middle},
                              {at_x - 7, at_y - 5, Svg::Anchor::end},
                              {at_x + 6, at_y + 14, Svg::Anchor::start},
                              {at_x, at_y + 16, Svg::Anchor::middle}}) {
      const double left = place.anchor == Svg::Anchor::start    ? place.x
                          : place.anchor == Svg::Anchor::middle ? place.x - length / 2
                                                                : place.x - length;
      if (!labels_.take({left, place.y - 10, left + length, place.y + 2})) continue;
      svg_.text(place.x, place.y, label, "preset-label", place.anchor);
      return true;
    }
    return false;
  }

  const Report& report_;
  bool phone_;
  double width_, height_;
  SizeUnits units_;
  Scale x_, y_;
  Svg svg_;
  LabelPlaces labels_;
};

}  // namespace

std::string curve_chart(const Report& report, Width width) {
  return report.curve.empty() ? "" : CurveChart{report, width}.draw();
}

}  // namespace snug::report

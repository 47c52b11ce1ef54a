#include "report/html.hpp"

#include <algorithm>
#include <cmath>

#include "base/str.hpp"
#include "base/units.hpp"
#include "base/printable.hpp"

namespace snug::report {
namespace {

/// Pixels, to a tenth.
std::string px(double x) {
  std::string text = fixed(x, 1);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

std::string class_attribute(std::string_view style_class) {
  return style_class.empty() ? "" : str(" class=\"", style_class, "\"");
}

/// Markup alone; what is shown may have line ends.
std::string escape_markup(std::string_view text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  return out;
}

/// Each line by itself: what a drawing's texts and tips go through.
std::string escape_lines(std::string_view text) {
  std::string out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (at > 0) out += '\n';
    out += escape(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

}  // namespace

std::string escape(std::string_view text) {
  return escape_markup(printable(text));
}

std::string shorten(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string{text};
  size_t end = most - 1;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // no half characters
  return std::string{text.substr(0, end)} + "…";
}

std::string show_loss(double nats) {
  if (!(nats > 0)) return "0";
  if (nats < 1e-5) return significant(nats, 2);
  const int decimals = std::clamp(2 - static_cast<int>(std::floor(std::log10(nats))), 0, 8);
  return fixed(nats, decimals);
}

std::string show_percent(double share) {
  const double percent = 100 * share;
  return fixed(percent, percent >= 9.95 || percent == 0 ? 0 : percent >= 0.095 ? 1 : 2) + " %";
}

std::string show_megabytes(int64_t bytes) {
  const SizeUnits units = units_for(bytes);
  return str(fixed(static_cast<double>(bytes) / units.decimal, 2), " ", units.decimal_name);
}

double Scale::operator()(double value) const {
  const double share = log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return begin + share * (end - begin);
}

std::vector<double> round_ticks(double low, double high, int about) {
  const double rough = (high - low) / std::max(about, 1);
  if (!(rough > 0)) return {};
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double m : {5.0, 2.5, 2.0, 1.0})
    if (m * power >= rough) step = m * power;
  std::vector<double> ticks;
  for (auto i = static_cast<int64_t>(std::ceil(low / step)); static_cast<double>(i) * step <= high; ++i)
    ticks.push_back(static_cast<double>(i) * step);
  return ticks;
}

std::vector<LogTick> log_ticks(double low, double high) {
  std::vector<LogTick> ticks;
  for (int power = static_cast<int>(std::floor(std::log10(low))); std::pow(10, power) <= high; ++power)
    for (const int m : {1, 2, 5})
      if (const double value = m * std::pow(10, power); value >= low && value <= high)
        ticks.push_back({value, m == 1});
  return ticks;
}

// --- drawing
// -------------------------------------------------------------------------------------------------------

Svg::Svg(double width, double height, std::string_view description, std::string_view style_class)
    : out_(str("<svg viewBox=\"0 0 ", px(width), " ", px(height), "\" width=\"", px(width), "\" height=\"",
               px(height), "\" role=\"img\" aria-label=\"", escape_lines(description), "\"",
               class_attribute(style_class), ">\n")) {}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view style_class) {
  out_ += str("<line x1=\"", px(x1), "\" y1=\"", px(y1), "\" x2=\"", px(x2), "\" y2=\"", px(y2), "\"",
              class_attribute(style_class), "/>\n");
}

void Svg::rect(double x, double y, double width, double height, std::string_view style_class, double round) {
  out_ += str("<rect x=\"", px(x), "\" y=\"", px(y), "\" width=\"", px(width), "\" height=\"", px(height),
              "\"", round > 0 ? str(" rx=\"", px(round), "\"") : "", class_attribute(style_class), "/>\n");
}

void Svg::circle(double x, double y, double radius, std::string_view style_class) {
  out_ += str("<circle cx=\"", px(x), "\" cy=\"", px(y), "\" r=\"", px(radius), "\"",
              class_attribute(style_class), "/>\n");
}

void Svg::path(std::string_view d, std::string_view style_class) {
  out_ += str("<path d=\"", d, "\"", class_attribute(style_class), "/>\n");
}

void Svg::text(double x, double y, std::string_view text, std::string_view style_class, Anchor anchor) {
  const char* const anchored = anchor == Anchor::middle ? " text-anchor=\"middle\""
                               : anchor == Anchor::end  ? " text-anchor=\"end\""
                                                        : "";
  out_ += str("<text x=\"", px(x), "\" y=\"", px(y), "\"", anchored, class_attribute(style_class), ">",
              escape_lines(text), "</text>\n");
}

void Svg::open(std::string_view style_class, std::string_view tip) {
  out_ += str("<g", class_attribute(style_class), "><title>", escape_lines(tip), "</title>\n");
}

void Svg::close() {
  out_ += "</g>\n";
}

std::string Svg::finish() && {
  return std::move(out_) + "</svg>\n";
}

bool LabelPlaces::take(Box box) {
  if (box.left < area_.left || box.right > area_.right || box.top < area_.top || box.bottom > area_.bottom)
    return false;
  const auto overlaps = [&](const Box& other) {
    return box.left < other.right && other.left < box.right && box.top < other.bottom &&
           other.top < box.bottom;
  };
  if (std::ranges::any_of(taken_, overlaps)) return false;
  taken_.push_back(box);
  return true;
}

}  // namespace snug::report

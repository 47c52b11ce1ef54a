#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace snug::report {

/// Text made safe for a page, as text and inside a quoted attribute: control characters and bytes that are
/// not UTF-8 become \xNN, long names are cut, markup is escaped. Everything that came from a file goes
/// through it.
std::string escape(std::string_view text);

/// At most so many bytes, the last of them an ellipsis where something was cut.
std::string shorten(std::string_view text, size_t most);

/// "0.0121", "0.000312", "3.1e-07": three digits that matter, nats per token.
std::string show_loss(double nats);
/// "13 %", "1.4 %", "0.03 %".
std::string show_percent(double share);
/// "3.08 MB".
std::string show_megabytes(int64_t bytes);

/// From values to pixels; pixels may fall as values rise.
struct Scale {
  double low, high;   // values
  double begin, end;  // pixels
  bool log = false;   // values > 0
  double operator()(double value) const;
};

/// Round values within [low, high], some `about` of them.
std::vector<double> round_ticks(double low, double high, int about);
/// 1, 2 and 5 times the powers of ten within [low, high].
struct LogTick {
  double value;
  bool decade;
};
std::vector<LogTick> log_ticks(double low, double high);

/// A drawing as inline SVG. Colours and fonts are classes of the page's style sheet. Texts and tips are
/// escaped here: give them plain.
class Svg {
 public:
  Svg(double width, double height, std::string_view description, std::string_view style_class = "");

  void line(double x1, double y1, double x2, double y2, std::string_view style_class);
  void rect(double x, double y, double width, double height, std::string_view style_class, double round = 0);
  void circle(double x, double y, double radius, std::string_view style_class);
  void path(std::string_view d, std::string_view style_class);
  enum class Anchor { start, middle, end };
  void text(double x, double y, std::string_view text, std::string_view style_class,
            Anchor anchor = Anchor::start);

  /// What is drawn until close() shares a tip: shown by a pointer, read by a screen reader.
  void open(std::string_view style_class, std::string_view tip);
  void close();

  std::string finish() &&;

 private:
  std::string out_;
};

/// Where labels may stand: takes a box if it is free.
class LabelPlaces {
 public:
  struct Box {
    double left, top, right, bottom;
  };
  explicit LabelPlaces(Box area) : area_(area) {}
  void block(Box box) { taken_.push_back(box); }
  bool take(Box box);

 private:
  Box area_;
  std::vector<Box> taken_;
};

}  // namespace snug::report

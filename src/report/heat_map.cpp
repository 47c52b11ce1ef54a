#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "base/str.hpp"
#include "base/units.hpp"
#include "report/charts.hpp"
#include "report/html.hpp"

namespace snug::report {
namespace {

/// Shade i is for fewer bits than kShades[i]; the last for all above.
constexpr std::array kShades{2.0, 2.6, 3.2, 4.0, 4.6, 5.6, 7.0, 9.0};

size_t shade_of(double bits) {
  return static_cast<size_t>(std::ranges::upper_bound(kShades, bits) - kShades.begin());
}

constexpr double kSmallPart = 0.001;  // of all bytes

struct Line {
  std::string label;
  std::vector<const TensorRow*> cells;
  int64_t bytes = 0, weights = 0, experts = 1;
  bool copied = true;
};

/// Of what is copied, norms and the smallest are left out.
bool is_minor(const Line& line, const Report& report) {
  return line.cells.front()->role == "norm" ||
         static_cast<double>(line.bytes) < kSmallPart * static_cast<double>(report.tensor_bytes);
}

/// Lines in the order of roles; those outside layers first.
struct Lines {
  std::vector<Line> global, layered;
  int layers = 0;
};

Lines lines_of(const Report& report) {
  std::map<std::tuple<bool, int, std::string>, Line> lines;
  Lines sorted;
  for (const TensorRow& row : report.tensors) {
    Line& line = lines[{row.layer >= 0, row.role_order, row.label}];
    line.label = row.label;
    line.experts = row.experts;
    line.cells.push_back(&row);
    line.bytes += row.bytes;
    line.weights += row.weights;
    line.copied &= row.copied;
    sorted.layers = std::max(sorted.layers, row.layer + 1);
  }
  for (auto& [key, line] : lines) {
    if (line.copied && is_minor(line, report)) continue;
    (std::get<0>(key) ? sorted.layered : sorted.global).push_back(std::move(line));
  }
  return sorted;
}

class HeatMap {
 public:
  HeatMap(const Report& report, Width width)
      : lines_(lines_of(report)),
        phone_(width == Width::phone),
        label_width_(phone_ ? 96 : 150),
        cell_(std::clamp(
            ((phone_ ? 358.0 : 1000.0) - label_width_ - average_width()) / std::max(lines_.layers, 1),
            phone_ ? 2.0 : 8.0, 110.0)),  // a phone shows all layers at once, the mean beside them
        svg_(label_width_ + columns() * cell_ + average_width(), height(), "Format of every tensor",
             "natural") {}

  std::string draw() && {
    double y = 20;
    svg_.text(label_width_ + columns() * cell_ + average_width(), 12, phone_ ? "mean" : "mean bits", "name",
              Svg::Anchor::end);
    for (const Line& line : lines_.global) y = draw_line(line, y, true);
    if (!lines_.global.empty()) y += kGap;
    for (const Line& line : lines_.layered) y = draw_line(line, y, false);
    if (lines_.layers > 0) draw_layers(y);
    return std::move(svg_).finish();
  }

 private:
  static constexpr double kLine = 26, kGap = 10;
  static constexpr double kNameWidth = 46,
                          kBitsWidth = 24;  // of a cell that has room for "iq2_xxs", for "3.4"

  double average_width() const { return phone_ ? 44 : 70; }
  double columns() const { return std::max(lines_.layers, 1); }
  double height() const {
    const auto count = static_cast<double>(lines_.global.size() + lines_.layered.size());
    return 20 + count * kLine + kGap + 38;
  }

  double draw_line(const Line& line, double y, bool across) {
    const size_t most = phone_ ? 13 : 20;
    svg_.text(label_width_ - 8, y + kLine / 2 + 4,
              shorten(line.label, most) + (line.experts > 1 && !phone_ ? str(" ×", line.experts) : ""),
              "row-label", Svg::Anchor::end);
    for (const TensorRow* row : line.cells) {
      const double x = label_width_ + (across ? 0 : row->layer * cell_);
      draw_cell(*row, x, y, across ? columns() * cell_ : cell_);
    }
    const double mean =
        line.weights ? 8.0 * static_cast<double>(line.bytes) / static_cast<double>(line.weights) : 0;
    svg_.text(label_width_ + columns() * cell_ + average_width(), y + kLine / 2 + 4, fixed(mean, 2), "tick",
              Svg::Anchor::end);
    return y + kLine;
  }

  void draw_cell(const TensorRow& row, double x, double y, double width) {
    const std::string name{format_name(row.format)};
    std::string tip = str(row.name, "\n", name, ", ", significant(row.bits_per_weight, 4), " bits, ",
                          show_megabytes(row.bytes));
    tip += row.copied ? "\ncopied as it is"
                      : str("\nloss ", show_loss(row.loss), ", ", show_percent(row.loss_share), " of all");
    svg_.open(str("cell ", row.copied ? "copied" : str("q", shade_of(row.bits_per_weight))), tip);
    const double gap = width > 16 ? 1 : 0.5;
    svg_.rect(x + gap, y + 1, width - 2 * gap, kLine - 2, "", width > 16 ? 2 : 0);
    const bool names = cell_ >= kNameWidth || width >= 2 * kNameWidth;
    if (names || width >= kBitsWidth)
      svg_.text(x + width / 2, y + kLine / 2 + 4, names ? name : significant(row.bits_per_weight, 2), "",
                Svg::Anchor::middle);
    svg_.close();
  }

  void draw_layers(double y) {
    const int step = static_cast<int>(24 / cell_) + 1;
    for (int layer = 0; layer < lines_.layers; layer += step)
      svg_.text(label_width_ + (layer + 0.5) * cell_, y + 14, str(layer), "tick", Svg::Anchor::middle);
    svg_.text(label_width_ + columns() * cell_ / 2, y + 31, "layer", "name", Svg::Anchor::middle);
  }

  Lines lines_;
  bool phone_;
  double label_width_, cell_;
  Svg svg_;
};

}  // namespace

std::string heat_map(const Report& report, Width width) {
  return HeatMap{report, width}.draw();
}

std::string heat_legend(const Report& report) {
  std::string html = "<p class=\"legend\">bits per weight: ";
  for (size_t i = 0; i <= kShades.size(); ++i) {
    const std::string range = i == 0                ? str("under ", kShades[0])
                              : i == kShades.size() ? str(kShades.back(), " and more")
                                                    : str(kShades[i - 1], " to ", kShades[i]);
    html += str("<span><i class=\"swatch q", i, "\"></i>", range, "</span> ");
  }
  html += "<span><i class=\"swatch copied\"></i>copied as it is</span></p>\n";
  int64_t shown = 0;
  const Lines lines = lines_of(report);
  for (const auto* list : {&lines.global, &lines.layered})
    for (const Line& line : *list) shown += static_cast<int64_t>(line.cells.size());
  const int64_t left_out = static_cast<int64_t>(report.tensors.size()) - shown;
  if (left_out > 0)
    html +=
        str("<p class=\"legend\">Small tensors that are copied as they are, norms above all, are not shown: ",
            show_count(left_out), ".</p>\n");
  return html;
}

}  // namespace snug::report

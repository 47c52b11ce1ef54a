#include <algorithm>
#include <cmath>
#include <vector>

#include "base/str.hpp"
#include "base/units.hpp"
#include "report/charts.hpp"
#include "report/html.hpp"

namespace snug::report {
namespace {

constexpr size_t kShown = 20;

std::vector<const TensorRow*> most_sensitive(const Report& report) {
  std::vector<const TensorRow*> rows;
  for (const TensorRow& row : report.tensors)
    if (!row.copied) rows.push_back(&row);
  const auto rank = [&](const TensorRow* row) { return report.has_profile ? -row->alpha : -row->loss; };
  std::ranges::stable_sort(rows, {}, rank);
  rows.resize(std::min(rows.size(), kShown));
  return rows;
}

/// alpha on a line, with a bar of one standard error to either side.
std::string alpha_track(const TensorRow& row, const Scale& scale) {
  const auto at = [&](double alpha) { return std::clamp(scale(std::max(alpha, scale.low)), 0.0, 100.0); };
  const double left = at(row.alpha - row.alpha_error), right = at(row.alpha + row.alpha_error);
  std::string html = "<div class=\"track\">";
  if (row.alpha_error > 0)
    html += str("<i style=\"left:", fixed(left, 1), "%;width:", fixed(right - left, 1), "%\"></i>");
  return str(html, "<b class=\"", row.alpha_from == "prior" ? "prior" : "probe",
             "\" style=\"left:", fixed(at(row.alpha), 1), "%\"></b></div>");
}

std::string alpha_text(const TensorRow& row) {
  return row.alpha_error > 0 ? str(show_loss(row.alpha), " <small>± ", show_loss(row.alpha_error), "</small>")
                             : show_loss(row.alpha);
}

std::string share_bar(double share, double largest) {
  return str("<div class=\"bar\"><i style=\"width:", fixed(largest > 0 ? 100 * share / largest : 0, 1),
             "%\"></i></div>");
}

/// Without ".weight"; a narrow column may break it behind a dot or an underscore.
std::string breakable_name(std::string_view name) {
  if (name.ends_with(".weight")) name.remove_suffix(7);
  std::string html;
  for (const char c : escape(name)) {
    html += c;
    if (c == '.' || c == '_') html += "<wbr>";
  }
  return html;
}

std::string row_html(const TensorRow& row, bool has_alpha, const Scale& scale, double largest_share) {
  std::string html = str("<tr><td class=\"tensor\">", breakable_name(row.name), "</td><td><code>",
                         format_name(row.format), "</code></td>");
  if (has_alpha)
    html += str("<td class=\"number wide-only\">", alpha_text(row), "</td><td class=\"plot\">",
                alpha_track(row, scale), "</td>");
  return str(html, "<td class=\"number\">", show_percent(row.loss_share), "</td><td class=\"plot\">",
             share_bar(row.loss_share, largest_share), "</td></tr>\n");
}

}  // namespace

std::string sensitivity_table(const Report& report) {
  const std::vector<const TensorRow*> rows = most_sensitive(report);
  if (rows.empty()) return "";
  double low = 1e300, high = 0, largest_share = 0;
  for (const TensorRow* row : rows) {
    const double least = std::max(row->alpha - row->alpha_error, row->alpha / 3);
    if (least > 0) low = std::min(low, least);
    high = std::max(high, row->alpha + row->alpha_error);
    largest_share = std::max(largest_share, row->loss_share);
  }
  const bool has_alpha = report.has_profile && high > 0;
  if (!has_alpha) low = 0.1, high = 1;
  const Scale scale{low / 1.1, high * 1.1, 0, 100, true};
  std::string html = "<table class=\"sensitive\"><thead><tr><th>tensor</th><th>format</th>";
  if (has_alpha)
    html += "<th class=\"number wide-only\">α ± standard error</th><th class=\"plot\">α, log scale</th>";
  html += "<th class=\"number\">loss</th><th class=\"plot\">share of the loss</th></tr></thead><tbody>\n";
  for (const TensorRow* row : rows) html += row_html(*row, has_alpha, scale, largest_share);
  html += "</tbody></table>\n";
  if (has_alpha)
    html +=
        "<p class=\"legend\"><span><b class=\"key probe\"></b>measured, with one standard "
        "error</span> "
        "<span><b class=\"key prior\"></b>assumed from role and position</span></p>\n";
  return html;
}

}  // namespace snug::report

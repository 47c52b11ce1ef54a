#include "base/str.hpp"
#include "base/units.hpp"
#include "report/charts.hpp"
#include "report/html.hpp"

namespace snug::report {
namespace {

struct Part {
  const char* style_class;
  const char* what;
  double share;
};

std::string stacked_bar(std::initializer_list<Part> parts) {
  std::string bar = "<div class=\"stack\">", legend = "<p class=\"legend\">";
  for (const Part& part : parts) {
    if (part.share > 0)
      bar += str("<i class=\"", part.style_class, "\" style=\"flex:", fixed(part.share, 4), "\" title=\"",
                 part.what, ": ", show_percent(part.share), "\"></i>");
    legend += str("<span><i class=\"swatch ", part.style_class, "\"></i>", part.what, ", ",
                  show_percent(part.share), "</span> ");
  }
  return str(bar, "</div>\n", legend, "</p>\n");
}

std::string fact(const std::string& name, const std::string& value) {
  return str("<dt>", name, "</dt><dd>", value, "</dd>\n");
}

std::string relative(double error, double value) {
  return value > 0 ? str(" (", show_percent(error / value), ")") : "";
}

std::string bound_fact(const Report& r) {
  if (!(r.certified_bound > 0) || !(r.predicted_loss > 0)) return "";
  const double gap = std::max((r.predicted_loss - r.certified_bound) / r.predicted_loss, 0.0);
  if (!r.limits.empty())
    return fact("best for these losses",
                str(r.proven_optimal ? "the search found no better recipe within " : "not proven within ",
                    escape(r.limits), "; a bound proves the gap to be at most ", show_percent(gap)));
  return fact("best for these losses", str(r.proven_optimal ? "proven: no recipe within the budget loses less"
                                                            : "not proven to the last",
                                           ", gap ", show_percent(gap)));
}

}  // namespace

std::string certainty_panel(const Report& report) {
  const Certainty& c = report.certainty;
  std::string html = stacked_bar({{"sure", "measured, to 15 % or better", c.share_sharp},
                                  {"fair", "measured, less surely", c.share_probed},
                                  {"assumed", "assumed from role and position", c.share_prior}});
  html += "<dl class=\"facts\">\n";
  html +=
      fact("tensors", str(show_count(c.probed), " measured, ", show_count(c.priors), " by prior",
                          c.unweighted ? str(", ", show_count(c.unweighted), " without imatrix data") : ""));
  html += fact("standard error of the predicted loss",
               str("± ", show_loss(c.loss_error), relative(c.loss_error, report.predicted_loss)));
  html += fact("of which from sampling rows",
               str("± ", show_loss(c.sampling_error), relative(c.sampling_error, report.predicted_loss)));
  if (report.agreement.points > 0)
    html += fact("whole recipes measured", str(report.agreement.points, ": measured / predicted is ",
                                               fixed(report.agreement.median_ratio, 2), " in the median"));
  html += bound_fact(report);
  return html + "</dl>\n";
}

}  // namespace snug::report

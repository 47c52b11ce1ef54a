#include "report/page.hpp"

#include <algorithm>
#include <cmath>

#include "base/str.hpp"
#include "base/units.hpp"
#include "report/charts.hpp"
#include "report/headline.hpp"
#include "report/html.hpp"

namespace snug::report {
namespace {

std::string tile(const std::string& name, const std::string& value, const std::string& below) {
  return str("<div class=\"tile\"><span>", name, "</span><b>", value, "</b><small>", below,
             "</small></div>\n");
}

/// "−52 %", "+3 %".
std::string show_change(double ratio) {
  const double percent = 100 * (ratio - 1);
  return str(percent < 0 ? "−" : "+", fixed(std::abs(percent), 0), " %");
}

/// What was measured, and the prediction in small print.
std::string loss_tile(const Report& r) {
  const auto loss = own_loss(r);
  if (!loss) return tile("predicted loss", "unknown", "nothing was measured for these formats");
  const std::string nats = "nats per token";
  if (!loss->is_measured)
    return tile("predicted loss", show_loss(loss->value),
                loss->error > 0 && loss->value > 0 ? str(nats, ", ± ", show_percent(loss->error / loss->value)) : nats);
  return tile("measured loss", show_loss(loss->value),
              str("± ", show_loss(loss->error), " ", nats, r.loss_known ? str("; predicted ", show_loss(r.predicted_loss)) : ""));
}

std::string preset_tile(const Report& r) {
  const auto own = own_loss(r);
  const auto preset = compared_preset(r);
  if (!preset || !(preset->loss.value > 0) || !(own->value > 0)) return "";
  return tile(own->is_measured ? "against a preset, measured" : "against presets, predicted",
              show_change(own->value / preset->loss.value),
              str("loss of the formats of ", escape(shorten(preset->name, 24)), ", encoded by snug"));
}

std::string perplexity_tile(const ListedModel& model) {
  return tile("perplexity", fixed(model.perplexity, 3),
              model.original_perplexity > 0 ? str("on held-out text; the original’s is ", fixed(model.original_perplexity, 3))
                                            : "on the text it was compared on");
}

std::string tiles(const Report& r) {
  std::string html = "<div class=\"tiles\">\n";
  html += tile("file", show_megabytes(r.file_bytes),
               r.budget_kind == BudgetKind::file ? str("budget ", show_megabytes(r.budget_bytes))
                                       : str(show_count(r.file_bytes), " bytes"));
  html += tile("bits per weight", fixed(r.bits_per_weight, 2), str(show_weights(r.weights), " weights"));
  html += loss_tile(r) + preset_tile(r);
  if (!r.models.empty() && r.models.front().same_top > 0)
    html += tile("same top token", str(fixed(100 * r.models.front().same_top, 2), " %"), "as the original");
  if (!r.models.empty() && r.models.front().perplexity > 0)
    html += perplexity_tile(r.models.front());
  if (r.agreement.points > 0)
    html += tile("predictions checked", str(r.agreement.points, r.agreement.points == 1 ? " recipe" : " recipes"),
                 str("median factor ", fixed(r.agreement.median_factor, 2)));
  return html + "</div>\n";
}

/// One drawing for pages and one for phones.
std::string figure(std::string (*chart)(const Report&, Width), const Report& report) {
  return str("<figure><div class=\"wide\">", chart(report, Width::page), "</div><div class=\"phone\">",
             chart(report, Width::phone), "</div></figure>\n");
}

std::string section(const std::string& title, const std::string& lead, const std::string& body) {
  return str("<section>\n<h2>", title, "</h2>\n<p class=\"lead\">", lead, "</p>\n", body, "</section>\n");
}

// --- loss against size
// ---------------------------------------------------------------------------------------------

/// Loss of the largest point of the curve that is no larger than `bytes`; 0 if there is none.
double best_loss_within(const Report& report, int64_t bytes) {
  double loss = 0;
  for (const CurvePoint& point : report.curve)
    if (point.file_bytes <= bytes) loss = point.loss;
  return loss;
}

std::string preset_table(const Report& report) {
  std::string html =
      "<details><summary>presets in numbers</summary><div class=\"scroll\"><table><thead><tr><th>preset</th>"
      "<th class=\"number\">size</th><th class=\"number\">bits per weight</th><th class=\"number\">loss</th>"
      "<th class=\"number\">best recipe of that size</th></tr></thead><tbody>\n";
  for (const PresetPoint& p : report.presets)
    html += str("<tr><td>", escape(p.name), "</td><td class=\"number\">", show_megabytes(p.file_bytes),
                "</td><td class=\"number\">", fixed(p.bits_per_weight, 2), "</td><td class=\"number\">",
                show_loss(p.loss), "</td><td class=\"number\">",
                show_loss(best_loss_within(report, p.file_bytes)), "</td></tr>\n");
  return html + "</tbody></table></div></details>\n";
}

std::string curve_table(const Report& report) {
  std::string html =
      "<details><summary>the curve in numbers</summary><div class=\"scroll\"><table><thead><tr>"
      "<th class=\"number\">size</th><th class=\"number\">bits per weight</th><th class=\"number\">loss</th>"
      "<th>formats by bytes</th></tr></thead><tbody>\n";
  for (const CurvePoint& p : report.curve)
    html += str("<tr><td class=\"number\">", show_megabytes(p.file_bytes), "</td><td class=\"number\">",
                fixed(p.bits_per_weight, 2), "</td><td class=\"number\">", show_loss(p.loss), "</td><td>",
                escape(p.mix), "</td></tr>\n");
  return html + "</tbody></table></div></details>\n";
}

/// f32 and f16 are among the presets and lose nothing: the chart does not show them.
bool has_lossy_preset(const Report& report) {
  return std::ranges::any_of(report.presets, [](const PresetPoint& p) { return p.loss > 0; });
}

std::string curve_section(const Report& report) {
  if (report.curve.empty())
    return section("Loss against size", "",
                   "<p class=\"notice\">The curve and the presets need the measurements: name the "
                   "state with <code>--state</code>, or the model with <code>--model</code>.</p>\n");
  std::string lead =
      "What the best recipe of each size is predicted to lose: nats per token of KL divergence from the "
      "original, on "
      "a logarithmic scale.";
  if (has_lossy_preset(report))
    lead += " Circles are the formats of llama.cpp’s presets, encoded by snug: llama.cpp’s own files differ.";
  lead += str(" All of it is predicted", report.error_feedback ? ", without error feedback" : "",
              report.measured_recipe ? "; the ring is what running this recipe gave." : ".");
  const auto* preset = best_preset_within(report);
  if (preset && report.curve_loss > 0 && preset->loss > 0)
    lead += str(" The best preset no larger than this recipe, ", escape(preset->name), ", loses ",
                fixed(preset->loss / report.curve_loss, 2), " times as much.");
  return section(
      "Loss against size", lead,
      figure(curve_chart, report) +
          "<p class=\"legend\"><span><b class=\"key line\"></b>best recipe of each size</span> <span><b "
          "class=\"key chosen\"></b>" +
          (report.from_recipe ? "this recipe" : "the plan shown below") +
          ", predicted</span> " +
          (report.measured_recipe ? "<span><b class=\"key ran\"></b>the same, measured</span> " : "") +
          (!has_lossy_preset(report) ? "</p>\n"
                                  : "<span><b class=\"key prior\"></b>formats of a llama.cpp preset</span></p>\n" +
                                        preset_table(report)) +
          curve_table(report));
}

// --- the others
// ----------------------------------------------------------------------------------------------------

std::string bits_section(const Report& report) {
  return section(
      "Where the bits went",
      "The format of every tensor, coloured by its bits. Lines are roles, columns are layers.",
      figure(heat_map, report) + heat_legend(report));
}

std::string sensitive_section(const Report& report) {
  const char* const lead =
      report.has_profile
          ? "α is what the output would lose if the tensor’s own output were replaced by noise of its size: "
            "nats per "
            "unit of relative error. A sensitive tensor gets more bits, and so may lose little in the end."
          : "The tensors that cost most in this recipe.";
  return section("The most sensitive tensors", lead, sensitivity_table(report));
}

std::string measured_section(const Report& report) {
  const Agreement& a = report.agreement;
  if (a.points == 0)
    return section(
        "Predicted against measured", "",
        "<p class=\"notice\">No whole recipe was measured. Evaluate a quantized file against its original, and "
        "give the report what came of it.</p>\n");
  std::string lead = str("Divergence of ", a.points, a.points == 1 ? " whole recipe" : " whole recipes",
                         ", measured by running them, against what was predicted. ");
  if (a.points >= 3) lead += str("Rank correlation ", fixed(a.rank_correlation, 3), ". ");
  lead += str("Median factor between the two ", fixed(a.median_factor, 2),
              ". The band is a factor of 1.3 to either side.");
  return section("Predicted against measured", lead, figure(measured_chart, report));
}

std::string certainty_section(const Report& report) {
  if (!report.has_profile) return "";
  return section("How sure this is", "What the predicted loss rests on, by its share of the loss.",
                 certainty_panel(report));
}

std::string origin_fact(const char* name, const std::string& digest) {
  return digest.empty() ? "" : str("<dt>", name, "</dt><dd><code>", escape(digest), "</code></dd>\n");
}

std::string text_fact(const char* name, const std::string& text) {
  return text.empty() ? "" : str("<dt>", name, "</dt><dd>", escape(text), "</dd>\n");
}

std::string measured_text(const Report& r) {
  if (!r.measured_recipe) return "";
  return str(show_count(r.measured_recipe->tokens), " held-out tokens",
             r.measured_recipe->text.empty() ? "" : str(", ", r.measured_recipe->text));
}

std::string footer(const Report& r) {
  return str(
      "<footer><p class=\"soft\">Loss: predicted KL divergence from the original, nats per token; losses of "
      "tensors add up. Relative error: squared error of a tensor’s output over its energy. Loss of a tensor "
      "= α × "
      "relative error of its format.</p>\n<dl class=\"facts\">\n",
      origin_fact("recipe", r.recipe_digest), origin_fact("model", r.model_digest),
      origin_fact("imatrix", r.imatrix_digest), origin_fact("measurements", r.state_digest),
      origin_fact("made by", r.made_by), text_fact("measured on", measured_text(r)), text_fact("report of", r.date),
      origin_fact("command", r.command), "</dl></footer>\n");
}

std::string subtitle(const Report& r) {
  std::string text = escape(r.architecture);
  text += str(" · ", r.method == "optimal" ? "optimal recipe" : escape(r.method));
  if (r.from_recipe && !r.runtime.empty()) text += str(" for ", escape(r.runtime));
  if (!r.from_recipe)
    text += str(" of ", fixed(r.bits_per_weight, 2), " bits per weight, planned for this report");
  if (r.proven_optimal)
    text += r.limits.empty() ? " · proven best for the losses measured"
                             : str(" · best within ", escape(r.limits), " for the losses measured");
  return text;
}

}  // namespace

std::string to_html(const Report& r) {
  const std::string name = escape(r.model_name.empty() ? "model without a name" : r.model_name);
  std::string html = str(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'\">\n<title>",
      name, " – snug report</title>\n<style>", kStyle, "</style>\n</head>\n<body>\n<main>\n<header><h1>",
      name, "</h1>\n<p class=\"soft\">", subtitle(r), "</p>\n", tiles(r), "</header>\n");
  html +=
      curve_section(r) + bits_section(r) + sensitive_section(r) + measured_section(r) + certainty_section(r);
  return str(html, footer(r), "</main>\n<script>", kScript, "</script>\n</body>\n</html>\n");
}

}  // namespace snug::report

#include "cli/text/eval_report.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/str.hpp"
#include "base/units.hpp"

namespace snug::cli {
namespace {

using infer::Estimate;
using nlohmann::ordered_json;

std::string number(double value, const char* format) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string line(const std::string& name, const Estimate& e, const char* format, double unit = 1) {
  std::string padded = name;
  padded.resize(34, ' ');
  return str("  ", padded, number(e.value * unit, format), " ± ", number(e.error * unit, format), "\n");
}

std::string line(const std::string& name, double value, const char* format) {
  std::string padded = name;
  padded.resize(34, ' ');
  return str("  ", padded, number(value, format), "\n");
}

std::string percentile_table(const infer::Divergence& d) {
  std::string out = "  percentile            KL (nats)       Δp\n";
  for (const auto& p : d.percentiles)
    out += str("  ", number(p.percent, "%8.1f %%"), number(p.kl, "%19.6f"),
               number(100 * p.shift, "%+9.3f %%"), "\n");
  return out;
}

/// Control characters and line ends shown as they would be typed.
std::string shown(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (static_cast<unsigned char>(c) < 0x20)
      out += '?';
    else
      out += c;
  }
  return out;
}

std::string worst_lines(const std::vector<WorstToken>& worst) {
  std::string out = "  tokens the two disagree on most:\n";
  for (const WorstToken& w : worst) {
    const bool text = !w.text.empty() || !w.before.empty();
    out += str("  ", number(w.kl, "%9.4f"), "  chunk ", w.chunk, ", token ", w.position, ": ");
    out += text ? str("…", shown(w.before), "[", shown(w.text), "]  original [", shown(w.base_text),
                      "], model [", shown(w.model_text), "]\n")
                : str("token ", w.token, ", original ", w.base_choice, ", model ", w.model_choice, "\n");
  }
  return out;
}

ordered_json to_json(const Estimate& e) {
  return {{"value", e.value}, {"error", e.error}};
}

ordered_json to_json(const infer::Perplexity& p) {
  return {{"perplexity", to_json(p.perplexity)}, {"loss_nats", to_json(p.loss)}};
}

ordered_json to_json(const infer::Divergence& d) {
  ordered_json percentiles = ordered_json::array();
  for (const auto& p : d.percentiles)
    percentiles.push_back({{"percent", p.percent}, {"kl_nats", p.kl}, {"delta_p", p.shift}});
  ordered_json kl = to_json(d.kl);
  kl["median"] = d.kl_median;
  kl["min"] = d.kl_min;
  kl["max"] = d.kl_max;
  return {{"base", to_json(d.base)},
          {"kl_nats", kl},
          {"log_perplexity_ratio", to_json(d.log_ratio)},
          {"same_top", to_json(d.same_top)},
          {"delta_p", to_json(d.shift)},
          {"delta_p_rms", to_json(d.shift_rms)},
          {"percentiles", percentiles}};
}

ordered_json to_json(const WorstToken& w) {
  return {{"kl_nats", w.kl},
          {"chunk", w.chunk},
          {"position", w.position},
          {"token", w.token},
          {"base_choice", w.base_choice},
          {"model_choice", w.model_choice},
          {"before", w.before},
          {"text", w.text},
          {"base_text", w.base_text},
          {"model_text", w.model_text}};
}

}  // namespace

std::string eval_table(const EvalReport& report) {
  std::string out = str(report.model, report.compared ? str(" against ", report.base) : std::string{}, "\n");
  out += str("  ", report.chunks, " chunks of ", report.context, " tokens, ",
             show_count(report.perplexity.tokens), " scored in ", show_duration(report.seconds), "\n");
  out += line("perplexity", report.perplexity.perplexity, "%.4f");
  if (!report.compared) return out;
  const infer::Divergence& d = report.divergence;
  out += line("perplexity of the original", d.base.perplexity, "%.4f");
  out += line("ln of their ratio", d.log_ratio, "%.6f");
  out += line("mean KL divergence (nats/token)", d.kl, "%.6f");
  out += line("median", d.kl_median, "%.6f") + line("largest", d.kl_max, "%.6f");
  out += line("same top token (%)", d.same_top, "%.3f", 100);
  out += line("mean Δp (%)", d.shift, "%.3f", 100) + line("RMS Δp (%)", d.shift_rms, "%.3f", 100);
  out += percentile_table(d);
  if (!report.worst.empty()) out += worst_lines(report.worst);
  return out;
}

ordered_json eval_json(const EvalReport& report) {
  ordered_json out{{"model", report.model}};
  if (!report.base.empty()) out["base_model"] = report.base;
  if (!report.text.empty()) out["text"] = report.text;
  out["context"] = report.context;
  out["chunks"] = report.chunks;
  out["tokens"] = report.perplexity.tokens;
  out["seconds"] = report.seconds;
  out.update(to_json(report.perplexity));
  if (!report.compared) return out;
  out.update(to_json(report.divergence));
  out["worst"] = ordered_json::array();
  for (const WorstToken& w : report.worst) out["worst"].push_back(to_json(w));
  return out;
}

}  // namespace snug::cli

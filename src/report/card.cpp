#include "report/card.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "report/headline.hpp"

namespace snug::report {
namespace {

/// Text from a file, in Markdown: neither a table nor a link of its own, on one line.
std::string plain(const std::string& text) {
  std::string safe;
  for (const char c : printable(text)) {
    if (std::string_view{"\\`*_[]<>|#"}.find(c) != std::string_view::npos) safe += '\\';
    safe += c;
  }
  return safe;
}

/// The same as a value of the front matter, which is YAML.
std::string quoted(const std::string& text) {
  std::string value = "\"";
  for (const char c : printable(text)) value += c == '"' || c == '\\' ? str("\\", c) : std::string(1, c);
  return value + "\"";
}

std::string front_matter(const Report& r) {
  const std::string library = r.runtime == "mlx" ? "mlx" : "gguf";
  return str("---\nlibrary_name: ", library, "\npipeline_tag: text-generation\ntags:\n- ", library, "\n- quantized\n- snug\n",
             r.model_name.empty() ? "" : str("base_model: ", quoted(r.model_name), "\nbase_model_relation: quantized\n"),
             "---\n\n");
}

std::string nats_text(double value, double error) {
  return error > 0 ? str(significant(value), " ± ", significant(error, 2)) : significant(value);
}

/// A line of the table of sizes; what nobody knows stays empty.
struct Line {
  std::string what, kl;
  int64_t bytes = 0;
  double bits_per_weight = 0, same_top = 0, perplexity = 0;

  std::string text() const {
    return str("| ", what, " | ", bytes > 0 ? show_size(bytes) : "", " | ", bits_per_weight > 0 ? fixed(bits_per_weight, 4) : "",
               " | ", kl, " | ", same_top > 0 ? str(fixed(100 * same_top, 2), " %") : "", " | ",
               perplexity > 0 ? fixed(perplexity, 4) : "", " |\n");
  }
};

std::string kl_text(const std::optional<Recipe::Measured>& measured, const std::optional<double>& predicted) {
  if (measured) return nats_text(measured->kl, measured->standard_error);
  return predicted ? str(significant(*predicted), " (predicted)") : "not measured";
}

Line line_of(const ListedModel& model, bool is_this) {
  const std::string name = plain(model.name);
  return {is_this ? str("**", name, "**") : name, kl_text(model.measured, model.predicted), model.bytes,
          model.bits_per_weight, model.same_top, model.perplexity};
}

std::vector<Line> own_lines(const Report& r) {
  std::vector<Line> lines;
  for (const ListedModel& model : r.models) lines.push_back(line_of(model, &model == &r.models.front() && r.models.size() > 1));
  std::optional<double> predicted;
  if (r.loss_known) predicted = r.predicted_loss;
  if (lines.empty())
    lines.push_back({"**this file**", kl_text(r.measured_recipe, predicted), r.file_bytes, r.bits_per_weight});
  return lines;
}

/// Whose formats, and whose encoding: llama.cpp's own file of a preset gives other figures.
std::vector<Line> others(const Report& r) {
  std::vector<Line> lines;
  if (const auto preset = compared_preset(r))
    lines.push_back({str("formats of llama.cpp's ", plain(preset->name), ", encoded by snug",
                         r.error_feedback && preset->loss.is_measured ? " with error feedback" : ""),
                     str(nats_text(preset->loss.value, preset->loss.error), preset->loss.is_measured ? "" : " (predicted)"),
                     preset->bytes, preset->bits_per_weight, preset->same_top, preset->perplexity});
  for (const MeasuredPoint& point : r.measured)
    if (point.perplexity > 0 && point.recipe.empty())
      lines.push_back({plain(point.label), nats_text(point.measured, point.error), point.bytes, 0, point.same_top,
                       point.perplexity});
  return lines;
}

/// Of which text the last two columns are, and what the original says of it.
std::string scores_text(const std::vector<ListedModel>& models) {
  const ListedModel& first = models.front();
  std::string text;
  if (first.original_perplexity > 0)
    text += str("\nSame top token and perplexity are of the same text; the original has a perplexity of ",
                fixed(first.original_perplexity, 4), ".\n");
  for (const ListedModel& model : models)
    if (model.perplexity > 0 && first.perplexity > 0 && model.scored_elsewhere != first.scored_elsewhere)
      text += str("\n", plain(model.name), ": its top token and perplexity were measured on another text, and do not compare.\n");
  return text;
}

/// What was measured comes first; a prediction says that it is one.
std::string sizes(const Report& r) {
  std::string text =
      "| | size | bits per weight | KL divergence, nats per token | same top token | perplexity |\n|---|---|---|---|---|---|\n";
  for (const Line& line : own_lines(r)) text += line.text();
  for (const Line& line : others(r)) text += line.text();
  if (r.measured_recipe)
    text += str("\nKL divergence from the original, over ", show_count(r.measured_recipe->tokens), " tokens of held-out text",
                r.measured_recipe->text.empty() ? "" : str(" (", plain(r.measured_recipe->text), ")"),
                ", with its standard error.\n");
  if (!r.models.empty()) text += scores_text(r.models);
  for (const ListedModel& model : r.models)
    if (model.measured && r.measured_recipe && model.measured->text != r.measured_recipe->text)
      text += str("\n", plain(model.name), " was measured on other text (",
                  model.measured->text.empty() ? "unknown" : plain(model.measured->text), "): its divergence does not compare.\n");
  return text;
}

/// As `sha256sum --check` reads them.
std::string checksums(const Report& r) {
  std::string lines;
  for (const ListedModel& model : r.models)
    for (const ListedModel::File& file : model.files) lines += str(file.sha256, "  ", printable(file.name), "\n");
  return lines.empty() ? "" : str("\n## SHA-256\n\n```\n", lines, "```\n");
}

struct Share {
  int64_t tensors = 0, weights = 0, bytes = 0;
};

std::string formats(const Report& r) {
  std::map<std::string_view, Share> shares;
  for (const TensorRow& tensor : r.tensors) {
    Share& share = shares[format_name(tensor.format)];
    ++share.tensors;
    share.weights += tensor.weights;
    share.bytes += tensor.bytes;
  }
  std::vector<std::pair<std::string_view, Share>> sorted{shares.begin(), shares.end()};
  std::ranges::stable_sort(sorted, std::ranges::greater{}, [](const auto& entry) { return entry.second.bytes; });
  std::string text = "\n## Formats\n\n| format | tensors | weights | size |\n|---|---|---|---|\n";
  for (const auto& [name, share] : sorted)
    text += str("| ", name, " | ", share.tensors, " | ", show_weights(share.weights), " | ", show_size(share.bytes), " |\n");
  return text;
}

std::string fact(const char* name, const std::string& value) {
  return value.empty() ? "" : str("| ", name, " | `", value, "` |\n");
}

std::string made(const Report& r) {
  return str("\n## How it was made\n\nBy ", plain(r.made_by), ": every tensor was measured in every format, and the best ",
             "combination within the size was solved for (", plain(r.method), r.proven_optimal ? ", proven optimal" : "",
             ")", r.error_feedback ? ", encoded with error feedback" : "",
             r.imatrix_digest.empty() ? ", without an importance matrix" : ", with an importance matrix",
             ". For ", plain(r.runtime), ".\n\n| | |\n|---|---|\n", fact("recipe", r.recipe_digest),
             fact("source's shapes", r.model_digest), fact("measurements", r.state_digest), fact("card of", r.date));
}

}  // namespace

std::string to_card(const Report& r) {
  const std::string name = r.model_name.empty() ? r.architecture : r.model_name;
  return str(front_matter(r), "# ", plain(name), " in ", fixed(r.bits_per_weight, 2), " bits per weight\n\n", sizes(r),
             formats(r), made(r), checksums(r));
}

}  // namespace snug::report

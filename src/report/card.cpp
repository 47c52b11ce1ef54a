#include "report/card.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/units.hpp"

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
  return str("---\nlibrary_name: gguf\npipeline_tag: text-generation\ntags:\n- gguf\n- quantized\n- ", "snug\n",
             r.model_name.empty() ? "" : str("base_model: ", quoted(r.model_name), "\n"), "---\n\n");
}

std::string nats_text(double value, double error) {
  return error > 0 ? str(significant(value), " ± ", significant(error, 2)) : significant(value);
}

std::string line(const std::string& what, int64_t bytes, const std::string& bpw, const std::string& kl) {
  return str("| ", what, " | ", bytes > 0 ? show_size(bytes) : "", " | ", bpw, " | ", kl, " |\n");
}

/// What was measured comes first; a prediction says that it is one.
std::string sizes(const Report& r) {
  std::string text = "| | size | bits per weight | KL divergence, nats per token |\n|---|---|---|---|\n";
  const std::string kl = r.measured_recipe ? nats_text(r.measured_recipe->kl, r.measured_recipe->standard_error)
                         : r.loss_known    ? str(significant(r.predicted_loss), " (predicted)")
                                           : "not measured";
  text += line("**this file**", r.file_bytes, fixed(r.bits_per_weight, 4), kl);
  if (const PresetPoint* preset = best_preset_within(r))
    text += line(str("llama.cpp's ", plain(std::string{preset->name})), preset->file_bytes,
                 fixed(preset->bits_per_weight, 4), str(significant(preset->loss), " (predicted)"));
  if (r.measured_recipe)
    text += str("\nKL divergence from the original, over ", show_count(r.measured_recipe->tokens),
                " tokens of held-out text, with its standard error.\n");
  return text;
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

std::string made(const Report& r) {
  return str("\n## How it was made\n\nBy ", plain(r.made_by), ": every tensor was measured in every format, and the best ",
             "combination within the size was solved for (", plain(r.method), r.proven_optimal ? ", proven optimal" : "",
             ")", r.error_feedback ? ", encoded with error feedback" : "",
             r.imatrix_digest.empty() ? ", without an importance matrix" : ", with an importance matrix",
             ". For ", plain(r.runtime), ".\n\n| | |\n|---|---|\n| recipe | `", r.recipe_digest, "` |\n| source's shapes | `",
             r.model_digest, "` |\n| measurements | `", r.state_digest, "` |\n");
}

}  // namespace

std::string to_card(const Report& r) {
  const std::string name = r.model_name.empty() ? r.architecture : r.model_name;
  return str(front_matter(r), "# ", plain(name), " in ", fixed(r.bits_per_weight, 2), " bits per weight\n\n", sizes(r),
             formats(r), made(r));
}

}  // namespace snug::report

#include "cli/text/evaluated_text.hpp"

#include <cstdio>

#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/text/text_table.hpp"

namespace snug::cli {
namespace {

std::string shown(const char* form, double number) {
  char text[40];
  std::snprintf(text, sizeof text, form, number);
  return text;
}

/// The last accepted one is what was chosen.
size_t chosen_of(const std::vector<EvaluatedRecipe>& all) {
  size_t chosen = 0;
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i].accepted) chosen = i;
  return chosen;
}

std::string row(const EvaluatedRecipe& judged, const std::string& verdict) {
  return str(left(str("  ", judged.label), 24), right(shown("%.6f", judged.predicted), 12),
             right(shown("%.6f", judged.measured.value), 12), right(shown("%.6f", judged.measured.error), 11), "  ",
             verdict, "\n");
}

/// Whose a preset's row is: llama.cpp's own file of that preset has other figures.
std::string preset_line(const std::vector<EvaluatedRecipe>& all) {
  bool with_feedback = false;
  for (const EvaluatedRecipe& judged : all) {
    with_feedback |= judged.label == "error feedback" && judged.accepted;
    if (judged.label.starts_with("preset "))
      return str("  (a preset is llama.cpp's choice of formats, encoded by snug", with_feedback ? " with error feedback" : "",
                 ": not llama.cpp's own file)\n");
  }
  return {};
}

std::string scores_line(const EvaluatedRecipe& chosen) {
  if (!chosen.scores) return {};
  const TextScores& s = *chosen.scores;
  return str("  same likeliest token as the original: ", fixed(100 * s.same_top.value, 2), " % +- ",
             fixed(100 * s.same_top.error, 2), "; perplexity ", fixed(s.perplexity.value, 4), " +- ",
             fixed(s.perplexity.error, 4), ", of the original ", fixed(s.original_perplexity, 4), "\n");
}

}  // namespace

std::string judged_text(const std::vector<EvaluatedRecipe>& all, int64_t holdout_tokens) {
  if (all.empty()) return {};
  std::string text = str("KL divergence from the original, nats per token, on ", show_count(holdout_tokens),
                         " held-out tokens\n");
  text += str(left("  recipe", 24), right("predicted", 12), right("measured", 12), right("+-", 11), "\n");
  const size_t chosen = chosen_of(all);
  for (size_t i = 0; i < all.size(); ++i)
    text += row(all[i], i == chosen ? "chosen" : all[i].accepted ? "best so far" : "rejected");
  return text + scores_line(all[chosen]) + preset_line(all);
}

}  // namespace snug::cli

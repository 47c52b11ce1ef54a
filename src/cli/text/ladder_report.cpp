#include "cli/text/ladder_report.hpp"

#include <nlohmann/json.hpp>
#include <optional>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/text/fit_report.hpp"
#include "cli/text/text_table.hpp"

namespace snug::cli {
namespace {

std::string row(const std::string& label, const std::string& bpw, const std::string& bytes, const std::string& kl,
                const std::string& error, const std::string& same_top, const std::string& perplexity,
                const std::string& file) {
  return str(left(label, 8), right(bpw, 8), right(bytes, 16), right(kl, 10), right(error, 10), right(same_top, 9),
             right(perplexity, 12), "  ", file, "\n");
}

std::string file_of(const FitResult& result) {
  if (!result.written) return "(not written)";
  const auto& files = result.written->files;
  return str(files.front().string(), files.size() > 1 ? str(" and ", files.size() - 1, " more") : "",
             result.was_known ? " (known)" : "");
}

/// Of the recipe that was chosen.
std::optional<TextScores> scores_of(const FitResult& result) {
  std::optional<TextScores> scores;
  for (const EvaluatedRecipe& judged : result.judged)
    if (judged.accepted) scores = judged.scores;
  return scores;
}

std::string row(const NamedBudget& budget, const FitResult& result) {
  const Recipe& recipe = result.recipe;
  const auto scores = scores_of(result);
  return row(budget.label(), fixed(recipe.bits_per_weight(), 4), show_count(recipe.file_bytes),
             recipe.measured ? fixed(recipe.measured->kl, 6) : "-",
             recipe.measured ? fixed(recipe.measured->standard_error, 6) : "-",
             scores ? str(fixed(100 * scores->same_top.value, 2), " %") : "-",
             scores ? fixed(scores->perplexity.value, 3) : "-", file_of(result));
}

/// The same for all sizes that were judged on the same text.
std::string original_text(const std::vector<FitResult>& results) {
  for (const FitResult& result : results)
    if (const auto scores = scores_of(result)) return str(", of the original ", fixed(scores->original_perplexity, 3));
  return {};
}

std::string ladder_text(const std::vector<NamedBudget>& budgets, const std::vector<FitResult>& results) {
  std::string text = row("budget", "bpw", "bytes", "KL", "+-", "same top", "perplexity", "file");
  for (size_t i = 0; i < results.size(); ++i) text += row(budgets[i], results[i]);
  if (const int64_t tokens = results.front().holdout_tokens; tokens > 0)
    text += str("on ", show_count(tokens), " held-out tokens: KL divergence from the original, nats per token; share of tokens "
                "where both find the same one likeliest; perplexity", original_text(results), "\n");
  return text;
}

}  // namespace

std::string fits_text(const std::vector<NamedBudget>& budgets, const std::vector<FitResult>& results) {
  return results.size() == 1 ? fit_text(results.front()) : ladder_text(budgets, results);
}

std::string fits_json(const std::vector<NamedBudget>& budgets, const std::vector<FitResult>& results) {
  if (results.size() == 1) return fit_json(results.front());
  nlohmann::ordered_json steps;
  for (size_t i = 0; i < results.size(); ++i) {
    nlohmann::ordered_json step{{"label", budgets[i].label()}};
    step.update(nlohmann::ordered_json::parse(fit_json(results[i])));
    steps.push_back(std::move(step));
  }
  return json_text(nlohmann::ordered_json{{"steps", steps}}, 2);
}

}  // namespace snug::cli

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace snug {

/// A whole recipe whose divergence was measured.
struct MeasuredRecipe {
  std::string label;     // "plan", "preset q4_k_m", "random 3"
  int64_t bytes = 0;     // of the file; 0 if unknown
  double predicted = 0;  // nats per token; 0 if unknown
  double measured = 0;   // nats per token
  double error = 0;      // standard error of measured; 0 if unknown
  double perplexity = 0;  // of the text it was measured on; 0 if unknown
  double same_top = 0;    // share of tokens where it and the original find the same likeliest; 0 if unknown
  double original_perplexity = 0;  // of the same text; 0 if unknown
  std::string recipe{};   // recipe_digest() of one that a state tells of; empty of what was measured elsewhere

  bool operator==(const MeasuredRecipe&) const = default;
};

/// One line of JSON, as it is kept in the state (docs/state-format.md, "note"); `model` is the model's
/// digest. parse_judged_recipe throws Error that names the field.
struct MeasuredRecipeNote {
  std::string model;
  MeasuredRecipe recipe;
};
std::string to_text(const MeasuredRecipeNote& note);
MeasuredRecipeNote parse_judged_recipe(const std::string& text, const std::string& where);

/// Whether a note is one on a measured recipe at all.
bool is_judged_recipe(std::string_view text);

}  // namespace snug

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "snug/estimate.hpp"

namespace snug {

/// What a recipe and its original say of the same tokens, beside the divergence. Errors are over chunks.
struct TextScores {
  Estimate same_top;               // share of predictions where both find the same token likeliest
  Estimate perplexity;             // of the recipe
  double original_perplexity = 0;

  bool operator==(const TextScores&) const = default;
};

/// One recipe that was measured, on the held-out chunks.
struct EvaluatedRecipe {
  std::string label;   // "plan", "correction 1", "preset iq3_xxs"
  std::string digest;  // recipe_digest()
  int64_t tensor_bytes = 0, file_bytes = 0;
  double predicted = 0;
  Estimate measured;      // nats per token, over chunks
  Estimate against_best;  // minus the best one before it, chunk by chunk
  bool accepted = false;
  std::optional<TextScores> scores{};  // nothing where a state of an earlier snug has the divergence alone
};

}  // namespace snug

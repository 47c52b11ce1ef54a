#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "eval/divergence.hpp"

namespace snug::cli {

/// A token the model and its original disagree on, and where it stands.
struct WorstToken {
  int64_t chunk = 0, position = 0;  // position of the predicted token within its chunk
  int32_t token = 0, model_choice = 0, base_choice = 0;
  double kl = 0;
  std::string before, text, model_text, base_text;  // empty without a tokenizer
};

struct EvalReport {
  std::string model, base, text;  // base and text may be empty
  int64_t context = 0, chunks = 0;
  double seconds = 0;
  infer::Perplexity perplexity;
  bool compared = false;  // else the rest is empty
  infer::Divergence divergence;
  std::vector<WorstToken> worst;
};

std::string eval_table(const EvalReport& report);
nlohmann::ordered_json eval_json(const EvalReport& report);

}  // namespace snug::cli

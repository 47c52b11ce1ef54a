#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "snug/estimate.hpp"

namespace snug::infer {

using snug::Estimate;
Estimate estimate(double sum, double sum_of_squares, int64_t count);

/// What a model said about one token.
struct TokenScore {
  float loss = 0;  // -ln p of the token that came, nats
  int32_t likeliest = 0;
};

/// What a model and its original said about one token.
struct TokenPair {
  TokenScore model, base;
  float divergence = 0;  // KL(base || model), nats
};

/// logits [vocabulary]; `next` is the token that came.
TokenScore score(std::span<const float> logits, int32_t next);

/// The original's logits [vocabulary] and the ln of the sum of their exponentials: ln p = logits - log_sum.
/// Terms where that is at most `floor` do not count: -infinity counts all, -16 is what a base-logits file
/// asks for, whose smaller values are cut off.
struct BaseRow {
  std::span<const float> logits;
  double log_sum = 0;
  double floor = 0;
};
TokenPair compare(const BaseRow& base, std::span<const float> logits, int32_t next);

/// ln of the sum of the exponentials; the sum runs in double.
double log_sum_exp(std::span<const float> logits);

/// Figures over many tokens, as llama-perplexity defines them.
struct Perplexity {
  Estimate loss;        // mean, nats
  Estimate perplexity;  // exp of it
  int64_t tokens = 0;
};

struct Divergence {
  Perplexity model, base;
  Estimate log_ratio;  // mean of ln p_base - ln p_model of the token that came
  Estimate kl;         // mean KL divergence, nats per token
  double kl_median = 0, kl_max = 0, kl_min = 0;
  struct Percentile {
    double percent, kl, shift;
  };
  std::vector<Percentile> percentiles;  // 0.1 to 99.9
  Estimate shift;  // mean change of the probability of the token that came: "delta p", a fraction
  Estimate shift_rms;
  Estimate same_top;  // share of tokens whose likeliest successor is the same
  int64_t tokens = 0;
};

Perplexity summarise(std::span<const TokenScore> scores);
Divergence summarise(std::span<const TokenPair> pairs);

}  // namespace snug::infer

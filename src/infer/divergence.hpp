#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace snug::infer {

/// A mean over tokens and its standard error.
struct Estimate {
  double value = 0, error = 0;
};
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

/// base: log-probabilities [vocabulary]. Terms where it is at most `floor` do not count: -infinity counts
/// all, -16 is what a base-logits file asks for, whose smaller values are cut off.
TokenPair compare(std::span<const float> base, float floor, std::span<const float> logits, int32_t next);

/// logits -> log-probabilities, in place.
void log_softmax(std::span<float> logits);

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

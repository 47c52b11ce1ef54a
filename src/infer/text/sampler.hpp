#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace snug::infer {

struct SamplerOptions {
  float temperature = 0.8f;  // 0: always the likeliest token
  int64_t top_k = 40;        // keep so many; 0: all
  float top_p = 0.95f;       // keep the likeliest until they have this share; 1: all
  float min_p = 0.05f;       // keep those at least this share as likely as the likeliest; 0: all
  uint64_t seed = 0;
  std::string source = "sampling";  // of the logits, for messages
};

/// Draws tokens from logits: top-k, top-p, min-p, then temperature. The same seed gives the same tokens on
/// every machine; of equal logits the smaller token comes first.
class Sampler {
 public:
  /// suppressed: tokens never drawn. Throws Error for options out of range.
  explicit Sampler(const SamplerOptions& options, std::span<const int32_t> suppressed = {});

  /// Throws Error where a logit is NaN, or where none can be drawn.
  int32_t next(std::span<const float> logits);

 private:
  struct Choice {
    int32_t token;
    float logit;
    double share;  // in proportion to its probability
  };

  static bool before(const Choice& a, const Choice& b);  // the likelier one
  void collect(std::span<const float> logits);
  void keep_likeliest();
  double sum_shares(float most);  // at the temperature; most: the greatest logit
  int32_t draw();
  int32_t draw_from_all();

  SamplerOptions options_;
  std::vector<int32_t> suppressed_;  // sorted
  std::mt19937_64 random_;
  std::vector<Choice> choices_;
};

}  // namespace snug::infer

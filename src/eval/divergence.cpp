#include "eval/divergence.hpp"

#include <algorithm>
#include <cmath>

namespace snug::infer {
namespace {

constexpr double kPercents[] = {0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9};

/// Value at a fraction of the sorted values, interpolated.
double at_fraction(const std::vector<double>& sorted, double fraction) {
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const double above_share = place - static_cast<double>(below);
  return (1 - above_share) * sorted[below] + above_share * sorted[std::min(below + 1, sorted.size() - 1)];
}

struct Moments {
  double sum = 0, squares = 0;
  void add(double x) {
    sum += x;
    squares += x * x;
  }
};

double probability(const TokenScore& score) {
  return std::exp(-static_cast<double>(score.loss));
}

void fill_percentiles(std::vector<double> kl, std::vector<double> shift, Divergence& d) {
  std::ranges::sort(kl);
  std::ranges::sort(shift);
  d.kl_min = kl.front();
  d.kl_max = kl.back();
  d.kl_median = at_fraction(kl, 0.5);
  for (const double percent : kPercents)
    d.percentiles.push_back({percent, at_fraction(kl, percent / 100), at_fraction(shift, percent / 100)});
}

}  // namespace

Estimate estimate(double sum, double sum_of_squares, int64_t count) {
  if (count <= 0) return {};
  const auto n = static_cast<double>(count);
  const double mean = sum / n;
  const double variance = sum_of_squares / n - mean * mean;
  return {mean, count > 1 && variance > 0 ? std::sqrt(variance / (n - 1)) : 0};
}

double log_sum_exp(std::span<const float> logits) {
  const float max = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float l : logits) sum += static_cast<double>(std::exp(l - max));
  return static_cast<double>(max) + std::log(sum);
}

namespace {

TokenScore score(std::span<const float> logits, double log_sum, int32_t next) {
  return {static_cast<float>(log_sum - static_cast<double>(logits[static_cast<size_t>(next)])),
          static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin())};
}

}  // namespace

TokenScore score(std::span<const float> logits, int32_t next) {
  return score(logits, log_sum_exp(logits), next);
}

TokenPair compare(const BaseRow& base, std::span<const float> logits, int32_t next) {
  const double log_sum = log_sum_exp(logits);
  TokenPair pair{score(logits, log_sum, next), score(base.logits, base.log_sum, next), 0};
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double log_p = static_cast<double>(base.logits[i]) - base.log_sum;
    if (log_p > base.floor)
      sum += static_cast<double>(std::exp(static_cast<float>(log_p))) *
             (log_p - (static_cast<double>(logits[i]) - log_sum));
  }
  pair.divergence = static_cast<float>(sum);
  return pair;
}

Perplexity summarise(std::span<const TokenScore> scores) {
  Moments loss;
  for (const TokenScore& s : scores) loss.add(static_cast<double>(s.loss));
  Perplexity p;
  p.tokens = static_cast<int64_t>(scores.size());
  p.loss = estimate(loss.sum, loss.squares, p.tokens);
  p.perplexity.value = std::exp(p.loss.value);
  p.perplexity.error = p.perplexity.value * p.loss.error;
  return p;
}

Divergence summarise(std::span<const TokenPair> pairs) {
  Divergence d;
  d.tokens = static_cast<int64_t>(pairs.size());
  if (pairs.empty()) return d;
  std::vector<TokenScore> model, base;
  std::vector<double> kl, shift;
  Moments kl_sum, ratio, shift_sum, square;
  int64_t same = 0;
  for (const TokenPair& p : pairs) {
    model.push_back(p.model);
    base.push_back(p.base);
    kl.push_back(static_cast<double>(p.divergence));
    shift.push_back(probability(p.model) - probability(p.base));
    kl_sum.add(kl.back());
    ratio.add(static_cast<double>(p.model.loss) - static_cast<double>(p.base.loss));
    shift_sum.add(shift.back());
    square.add(shift.back() * shift.back());
    same += p.model.likeliest == p.base.likeliest;
  }
  d.model = summarise(model);
  d.base = summarise(base);
  d.kl = estimate(kl_sum.sum, kl_sum.squares, d.tokens);
  d.log_ratio = estimate(ratio.sum, ratio.squares, d.tokens);
  d.shift = estimate(shift_sum.sum, shift_sum.squares, d.tokens);
  const Estimate mean_square = estimate(square.sum, square.squares, d.tokens);
  d.shift_rms.value = std::sqrt(mean_square.value);
  d.shift_rms.error = d.shift_rms.value > 0 ? 0.5 / d.shift_rms.value * mean_square.error : 0;
  const auto agreeing = static_cast<double>(same);
  d.same_top = estimate(agreeing, agreeing, d.tokens);
  fill_percentiles(std::move(kl), std::move(shift), d);
  return d;
}

}  // namespace snug::infer

#include "infer/text/sampler.hpp"

#include <algorithm>
#include <cmath>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

void check(bool good, const char* name, double value, const char* range) {
  if (!good) throw Error{str(name, " cannot be ", value), "sampling", range, Fault::usage};
}

/// Evenly in [0, 1), the same everywhere: the standard's distributions are not.
double uniform(std::mt19937_64& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

}  // namespace

Sampler::Sampler(const SamplerOptions& options, std::span<const int32_t> suppressed)
    : options_{options}, suppressed_(suppressed.begin(), suppressed.end()), random_{options.seed} {
  check(options.temperature >= 0 && std::isfinite(options.temperature), "temperature", options.temperature,
        "0 (the likeliest token) or more");
  check(options.top_k >= 0, "top-k", static_cast<double>(options.top_k), "0 (all) or more");
  check(options.top_p > 0 && options.top_p <= 1, "top-p", options.top_p, "above 0, at most 1 (all)");
  check(options.min_p >= 0 && options.min_p <= 1, "min-p", options.min_p, "0 (all) to 1");
  std::ranges::sort(suppressed_);
}

bool Sampler::before(const Choice& a, const Choice& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

int32_t Sampler::next(std::span<const float> logits) {
  collect(logits);
  if (choices_.empty())
    throw Error{"no token can be drawn", options_.source, "the model gives every token up: is it damaged?"};
  if (options_.temperature == 0) return std::ranges::min_element(choices_, before)->token;
  if (options_.top_k == 0 && options_.top_p == 1 && options_.min_p == 0) return draw_from_all();
  const auto wanted = static_cast<size_t>(options_.top_k ? options_.top_k : INT64_MAX);
  const size_t kept = std::min(wanted, choices_.size());
  if (kept == choices_.size())
    std::ranges::sort(choices_, before);
  else
    std::partial_sort(choices_.begin(), choices_.begin() + static_cast<std::ptrdiff_t>(kept), choices_.end(),
                      before);
  choices_.resize(kept);
  keep_likeliest();
  return draw();
}

void Sampler::collect(std::span<const float> logits) {
  choices_.clear();
  auto next_suppressed = suppressed_.begin();
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto token = static_cast<int32_t>(i);
    if (std::isnan(logits[i]))
      throw Error{str("the logit of token ", token, " is no number"), options_.source,
                  "weights or metadata of the model are damaged: copy or convert it again"};
    while (next_suppressed != suppressed_.end() && *next_suppressed < token) ++next_suppressed;
    const bool suppressed = next_suppressed != suppressed_.end() && *next_suppressed == token;
    if (!suppressed && logits[i] > -INFINITY) choices_.push_back({token, logits[i], 0});
  }
}

/// Cuts the sorted choices by top-p, then by min-p; the first always stays.
void Sampler::keep_likeliest() {
  double sum = 0;
  for (Choice& c : choices_) sum += c.share = std::exp(double{c.logit} - choices_.front().logit);
  if (options_.top_p < 1) {
    double so_far = 0;
    const auto enough = std::ranges::find_if(
        choices_, [&](const Choice& c) { return (so_far += c.share) >= double{options_.top_p} * sum; });
    if (enough != choices_.end()) choices_.erase(enough + 1, choices_.end());
  }
  const auto rare =
      std::ranges::find_if(choices_, [&](const Choice& c) { return c.share < double{options_.min_p}; });
  choices_.erase(rare, choices_.end());
}

double Sampler::sum_shares(float most) {
  double sum = 0;
  for (Choice& c : choices_) sum += c.share = std::exp((double{c.logit} - most) / double{options_.temperature});
  return sum;
}

/// The same draw, where most of a large vocabulary never gets into order: mostly one of the likeliest is drawn.
int32_t Sampler::draw_from_all() {
  const float most = std::ranges::min_element(choices_, before)->logit;
  double at = uniform(random_) * sum_shares(most);
  for (size_t ordered = 0, wanted = 64; ordered < choices_.size(); ordered = wanted, wanted *= 8) {
    wanted = std::min(wanted, choices_.size());
    const auto first = choices_.begin() + static_cast<std::ptrdiff_t>(ordered);
    const auto end = choices_.begin() + static_cast<std::ptrdiff_t>(wanted);
    std::nth_element(first, end, choices_.end(), before);
    std::sort(first, end, before);
    for (auto choice = first; choice != end; ++choice)
      if ((at -= choice->share) < 0) return choice->token;
  }
  return choices_.back().token;
}

int32_t Sampler::draw() {
  double at = uniform(random_) * sum_shares(choices_.front().logit);
  for (const Choice& c : choices_)
    if ((at -= c.share) < 0) return c.token;
  return choices_.back().token;
}

}  // namespace snug::infer

#include "measure/scores.hpp"

#include <cmath>
#include <cstring>
#include <vector>

#include "base/digest.hpp"
#include "base/parallel.hpp"
#include "eval/divergence.hpp"

namespace snug {
namespace {

using infer::Activations;

/// A stream of random signs that depends on nothing but its seed (splitmix64).
class Signs {
 public:
  explicit Signs(const Digest& seed) { std::memcpy(&state_, seed.bytes.data(), sizeof state_); }

  double next() {
    if (left_ == 0) refill();
    const double sign = bits_ & 1 ? 1.0 : -1.0;
    bits_ >>= 1;
    --left_;
    return sign;
  }

 private:
  void refill() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    bits_ = z ^ (z >> 31);
    left_ = 64;
  }

  uint64_t state_ = 0, bits_ = 0;
  int left_ = 0;
};

Signs signs_of(const Digest& chunk, int64_t draw, int64_t position) {
  return Signs{Hasher{}
                   .add("scores")
                   .add_array<uint8_t>(chunk.bytes)
                   .add(static_cast<uint64_t>(draw))
                   .add(static_cast<uint64_t>(position))
                   .finish()};
}

}  // namespace

Activations score_gradients(const Activations& logits, int64_t first, int64_t draws, const Digest& chunk) {
  Activations g = Activations::unset(draws * logits.count(), logits.width());
  parallel_for(logits.count(), [&](int64_t t) {
    const double log_sum = infer::log_sum_exp(logits.row(t));
    std::vector<double> roots;
    for (const float logit : logits.row(t)) roots.push_back(std::exp((static_cast<double>(logit) - log_sum) / 2));
    for (int64_t draw = 0; draw < draws; ++draw) {
      const std::span<float> row = g.row(draw * logits.count() + t);
      Signs signs = signs_of(chunk, draw, first + t);
      std::vector<double> turned;
      double sum = 0;
      for (const double root : roots) sum += turned.emplace_back(root * signs.next());
      for (size_t k = 0; k < roots.size(); ++k) row[k] = static_cast<float>(turned[k] - roots[k] * roots[k] * sum);
    }
  });
  return g;
}

}  // namespace snug

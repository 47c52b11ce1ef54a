#include "measure/scores.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "base/digest.hpp"
#include "base/parallel.hpp"

namespace snug {
namespace {

using infer::Activations;

/// A stream of random signs, 64 at a time, that depends on nothing but its seed (splitmix64).
class Signs {
 public:
  explicit Signs(const Digest& seed) { std::memcpy(&state_, seed.bytes.data(), sizeof state_); }

  /// Bit by bit from the lowest: 1 is plus.
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_ = 0;
};

Signs signs_of(const Digest& chunk, int64_t draw, int64_t position) {
  return Signs{Hasher{}
                   .add("scores")
                   .add_array<uint8_t>(chunk.bytes)
                   .add(static_cast<uint64_t>(draw))
                   .add(static_cast<uint64_t>(position))
                   .finish()};
}

/// p of each token of the vocabulary.
void probabilities(std::span<const float> logits, std::span<double> p) {
  const float max = *std::ranges::max_element(logits);
  double sum = 0;
  for (size_t k = 0; k < p.size(); ++k) sum += p[k] = static_cast<double>(std::exp(logits[k] - max));
  for (double& v : p) v /= sum;
}

/// values[k] = +-roots[k]; returns their sum.
double turn(std::span<const double> roots, Signs signs, std::span<double> values) {
  double sum = 0;
  for (size_t begin = 0; begin < roots.size(); begin += 64) {
    const uint64_t bits = signs.next();
    const size_t count = std::min<size_t>(64, roots.size() - begin);
    double part = 0;
    for (size_t k = 0; k < count; ++k)
      part += values[begin + k] = std::bit_cast<double>(std::bit_cast<uint64_t>(roots[begin + k]) ^ (~(bits >> k) << 63));
    sum += part;
  }
  return sum;
}

}  // namespace

Activations score_gradients(const Activations& logits, int64_t first, int64_t draws, const Digest& chunk) {
  Activations g = Activations::unset(draws * logits.count(), logits.width());
  parallel_for(logits.count(), [&](int64_t t) {
    std::vector<double> p(static_cast<size_t>(logits.width())), roots(p.size()), turned(p.size());
    probabilities(logits.row(t), p);
    std::ranges::transform(p, roots.begin(), [](double v) { return std::sqrt(v); });
    for (int64_t draw = 0; draw < draws; ++draw) {
      const double sum = turn(roots, signs_of(chunk, draw, first + t), turned);
      const std::span<float> row = g.row(draw * logits.count() + t);
      for (size_t k = 0; k < p.size(); ++k) row[k] = static_cast<float>(turned[k] - p[k] * sum);
    }
  });
  return g;
}

}  // namespace snug

#include "measure/chunk_comparison.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "snug/error.hpp"

namespace snug {
namespace {

static_assert(std::endian::native == std::endian::little, "payloads are copied as they lie in memory");

constexpr uint32_t kVersion = 1;
constexpr double kMaxNats = 1e6;  // beyond what is measured anywhere

struct Fixed {
  uint32_t version, unused;
  int64_t scored, same_top;
  double kl, loss, original_loss;
};
static_assert(sizeof(Fixed) == 48);

bool is_sound(const Fixed& fixed) {
  return fixed.version == kVersion && fixed.scored > 0 && fixed.same_top >= 0 && fixed.same_top <= fixed.scored &&
         std::abs(fixed.kl) <= kMaxNats && std::abs(fixed.loss) <= kMaxNats && std::abs(fixed.original_loss) <= kMaxNats;
}

struct Mean {
  double sum = 0, squares = 0;
  int64_t count = 0;

  void add(double value) {
    sum += value;
    squares += value * value;
    ++count;
  }
  Estimate estimate() const { return infer::estimate(sum, squares, count); }
};

}  // namespace

ChunkComparison comparison_of(std::span<const infer::TokenPair> pairs) {
  ChunkComparison chunk;
  chunk.scored = std::ssize(pairs);
  for (const infer::TokenPair& pair : pairs) {
    chunk.kl += static_cast<double>(pair.divergence);
    chunk.same_top += pair.model.likeliest == pair.base.likeliest;
  }
  for (const infer::TokenPair& pair : pairs.first(pairs.size() - 1)) {
    chunk.loss += static_cast<double>(pair.model.loss);
    chunk.original_loss += static_cast<double>(pair.base.loss);
  }
  chunk.kl /= static_cast<double>(chunk.scored);
  chunk.loss /= static_cast<double>(chunk.scored - 1);
  chunk.original_loss /= static_cast<double>(chunk.scored - 1);
  return chunk;
}

std::vector<std::byte> to_payload(const ChunkComparison& c) {
  const Fixed fixed{kVersion, 0, c.scored, c.same_top, c.kl, c.loss, c.original_loss};
  std::vector<std::byte> payload(sizeof fixed);
  std::memcpy(payload.data(), &fixed, sizeof fixed);
  return payload;
}

ChunkComparison parse_comparison(std::span<const std::byte> payload) {
  Fixed fixed{};
  const bool whole = payload.size() == sizeof fixed;
  if (whole) std::memcpy(&fixed, payload.data(), sizeof fixed);
  if (!whole || !is_sound(fixed))
    throw Error{"a comparison in the state is malformed", "", "run `snug state verify`, or start a new state"};
  return {fixed.scored, fixed.same_top, fixed.kl, fixed.loss, fixed.original_loss};
}

TextScores scores_of(std::span<const ChunkComparison> chunks) {
  Mean same, loss, original;
  for (const ChunkComparison& chunk : chunks) {
    same.add(static_cast<double>(chunk.same_top) / static_cast<double>(chunk.scored));
    loss.add(chunk.loss);
    original.add(chunk.original_loss);
  }
  const Estimate mean = loss.estimate();
  const double perplexity = std::exp(mean.value);
  return {same.estimate(), {perplexity, perplexity * mean.error}, std::exp(original.estimate().value)};
}

}  // namespace snug

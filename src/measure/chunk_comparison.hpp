#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "eval/divergence.hpp"
#include "snug/evaluated_recipe.hpp"

namespace snug {

/// What a model and its original say of the scored tokens of one chunk.
struct ChunkComparison {
  int64_t scored = 0;    // predictions
  int64_t same_top = 0;  // of them, those where both find the same token likeliest
  double kl = 0;         // KL(original || model), mean of the predictions, nats
  double loss = 0, original_loss = 0;  // -ln p of the token that came, mean of all predictions but the last, whose token
                                       // is in the next chunk
  bool operator==(const ChunkComparison&) const = default;
};

/// pairs: of the scored tokens in order, two at least. Sums run in order: the same on any threads.
ChunkComparison comparison_of(std::span<const infer::TokenPair> pairs);

/// What the state keeps of it. Little-endian, behind one another: u32 version (1), u32 0, i64 scored, i64 same_top, f64 kl,
/// f64 loss, f64 original_loss. parse_comparison() throws Error on anything malformed.
std::vector<std::byte> to_payload(const ChunkComparison& comparison);
ChunkComparison parse_comparison(std::span<const std::byte> payload);

/// Means over chunks, with standard errors. At least one chunk.
TextScores scores_of(std::span<const ChunkComparison> chunks);

}  // namespace snug

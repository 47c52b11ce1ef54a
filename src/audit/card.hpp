#pragma once

#include <string>
#include <vector>

namespace snug {

/// What a card is held against.
struct CardFacts {
  double bits_per_weight = 0, raw_bits_per_weight = 0;
  int embedding_bits = 0, router_bits = 0;  // the fewest; 0: there is none
};

/// Sentences of a card (README.md) that are not true: embeddings or routers said to be unquantized or of more bits than
/// they have, and bits per weight that are neither the effective nor the raw ones. Each with the sentence quoted.
std::vector<std::string> contradictions_of_card(const std::string& card, const CardFacts& facts);

}  // namespace snug

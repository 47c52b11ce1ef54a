#pragma once

#include <cstdint>

#include "hf/config.hpp"

namespace snug::hf {

/// By the root of this number loaders of Gemma 2 and 3 divide queries, whatever query_pre_attn_scalar says: the head size; in
/// the largest models the size that a head would have if the heads filled the embedding.
int64_t gemma_query_divisor(const Config& config);

/// A cap of scores or logits so far out that it changes none: how "no cap" is said to loaders that always cap. x is within
/// 1e-7 of cap * tanh(x / cap) up to several hundred.
constexpr double kNoCap = 1 << 20;

}  // namespace snug::hf

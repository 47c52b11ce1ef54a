#pragma once

#include <string_view>

#include "hf/keys.hpp"
#include "hf/output.hpp"

// Rotary embeddings and how they are scaled: from a checkpoint's words to GGUF's.
namespace snug::hf {

/// YaRN's strength of attention for a context `factor` times as long: 1 + k ln(factor) / 10, and 1 where it is no longer.
double yarn_strength(double factor, double k);

/// How many times the original context the model takes: what is said, or the quotient of both lengths.
double context_factor(const Config& config);

/// What transformers multiplies sines and cosines with.
double rope_strength(const Config& config);

/// rope.scaling.attn_factor, by which loaders multiply the strength that they work out from the other keys, `theirs`;
/// nothing where that is right by itself.
void correct_strength(const Config& config, double theirs, Keys& keys);

/// Bases and sections, and the scaling: part of add_common_keys(). Where an architecture's loaders work out YaRN's
/// strength in a way of their own (mistral3, deepseek2), the family corrects it.
void add_rope(const Config& config, Keys& keys);
void add_rope_scaling(const Config& config, Keys& keys);

/// LongRoPE's divisors of the frequencies, one for each of the rotated pairs, for long texts and for short ones.
void add_long_and_short_factors(const Config& config, int64_t pairs, Output& out);

/// Error where the scaling is one that GGUF's loaders of the architecture do not know; a remark where only texts longer
/// than the original context differ, or all of them slightly.
void check_rope(const Config& config, std::string_view architecture, std::vector<std::string>& remarks);

}  // namespace snug::hf

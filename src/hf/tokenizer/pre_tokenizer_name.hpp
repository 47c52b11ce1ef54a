#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hf/tokenizer/tokenizer_json.hpp"

namespace snug::hf {

/// What a pre-tokenizer's name depends on besides its patterns.
struct PreTokenizerHints {
  bool adds_bos = false;
  bool glm = false;  // the added tokens are those of the GLM family
};

/// The name under which llama.cpp knows how a byte-level encoding cuts texts into words, by what
/// tokenizer.json says itself. Throws Error with the patterns where none of the known ones fits: a wrong name
/// would load, and make the model worse without a word.
std::string pre_tokenizer_name(const TokenizerJson& file, const PreTokenizerHints& hints);

/// The reverse: what tokenizer.json says of a name in GGUF.
struct PreTokenizer {
  std::vector<std::string> patterns;  // each cuts the pieces of the one before it
  bool ignores_merges = false;        // a whole word that is a token stays one
};
/// None of a name that is not known, or whose patterns tokenizer.json has in other words than a pattern's.
std::optional<PreTokenizer> pre_tokenizer_of(std::string_view name);

/// Whether the pieces are mapped byte by byte ("gpt2") before they are joined.
bool is_byte_level(const TokenizerJson& file);

/// The pattern of Kimi's tokenizers, whose files do not have it.
std::string kimi_pattern();

}  // namespace snug::hf

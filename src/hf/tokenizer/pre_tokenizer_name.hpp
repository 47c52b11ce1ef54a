#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

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

/// Whether the pieces are mapped byte by byte ("gpt2") before they are joined.
bool is_byte_level(const TokenizerJson& file);

/// The pattern of Kimi's tokenizers, whose files do not have it.
std::string kimi_pattern();

}  // namespace snug::hf

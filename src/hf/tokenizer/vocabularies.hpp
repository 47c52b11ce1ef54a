#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "hf/tokenizer/sentencepiece.hpp"
#include "hf/tokenizer/token_list.hpp"
#include "hf/tokenizer/tokenizer_json.hpp"

namespace snug::hf {

inline constexpr float kAddedScore = -1000;  // of a token that is cut out of texts before anything is joined

/// A token as a merge makes it: without the blank that parts the two.
std::string joined(const std::string& merge);

/// The tokens of a byte-level encoding (GGUF's "gpt2"), as many as the embedding has rows. Throws Error where
/// the vocabulary has more.
TokenList byte_level_tokens(const TokenizerJson& file, int64_t rows);

/// The tokens of an encoding of characters with bytes to fall back on, with the scores that make
/// SentencePiece's rule join them in the order of the merges.
TokenList scored_tokens(const TokenizerJson& file, int64_t rows);

/// The tokens of tokenizer.model.
TokenList sentence_piece_tokens(const SentencePieces& pieces, int64_t rows);

/// Whether joining by score and joining by the listed merges come to the same on every text: they do where
/// every way to part a token in two tokens is listed.
bool lists_every_split(const TokenizerJson& file);

}  // namespace snug::hf

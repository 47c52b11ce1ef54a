#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "hf/tokenizer/tokenizer_json.hpp"

namespace snug::hf {

/// The files of a checkpoint folder that say how text becomes tokens.
struct TokenizerFiles {
  std::filesystem::path folder;
  std::optional<TokenizerJson> tokenizer;  // tokenizer.json, else what tekken.json or tiktoken.model comes to
  bool is_tekken = false;
  nlohmann::json config;    // tokenizer_config.json, null where there is none
  nlohmann::json added;     // added_tokens.json: text to id
  bool has_pieces = false;  // tokenizer.model, of SentencePiece

  std::filesystem::path pieces() const { return folder / "tokenizer.model"; }
  bool none() const { return !tokenizer && !has_pieces; }

  /// What is there instead where none(): a file of a kind that is not read, or nothing at all.
  const char* other_kind() const;
};

/// Reads what is there. Throws Error where a file is damaged.
TokenizerFiles read_tokenizer_files(const std::filesystem::path& folder);

}  // namespace snug::hf

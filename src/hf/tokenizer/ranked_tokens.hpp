#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hf/tokenizer/tokenizer_json.hpp"

namespace snug::hf {

/// Mistral's tekken.json as the tokenizer.json it stands for: its tokens are byte strings in the order in
/// which they are joined, behind the special ones. Throws Error where it is damaged.
TokenizerJson read_tekken(const std::filesystem::path& path);

/// The same of a tiktoken.model (Kimi): a token in base 64 and its rank a line. `config`:
/// tokenizer_config.json, which lists the special tokens.
TokenizerJson read_tiktoken(const std::filesystem::path& path, const nlohmann::json& config);

/// The merges, as GGUF has them, of tokens of bytes that are joined in this order: of each the last two parts
/// it is joined from.
std::vector<std::string> merges_of_ranks(const std::vector<std::string>& tokens);

/// Bytes as the printable characters that stand for them in byte-level vocabularies.
std::string printable_characters(std::string_view bytes);

}  // namespace snug::hf

#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace snug::hf {

inline constexpr int64_t kMaxTokens = int64_t{1} << 24;  // of any vocabulary: what is more is damage

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, a blank in SentencePiece texts

/// A member of an object; null where it is missing, or `object` is none.
const nlohmann::json& member(const nlohmann::json& object, std::string_view name);
/// The same of a switch: `fallback` where it is no boolean.
bool is_true(const nlohmann::json& object, std::string_view name, bool fallback = false);

/// A token that is cut out of a text before anything else is done to it.
struct AddedToken {
  std::string text;
  bool special = false;
  bool normalized = false;  // looked for in the text as the normalizer leaves it
  bool trims = false;       // swallows blanks beside it, or wants a word boundary
};

using AddedTokens = std::map<int64_t, AddedToken>;  // by id

/// tokenizer.json of a byte-pair encoding. The long lists are taken out while it is read: as JSON they would
/// need several times their size.
struct TokenizerJson {
  std::string where;                                   // the file, for messages
  nlohmann::json rest;                                 // everything but the three lists
  std::vector<std::pair<std::string, int64_t>> vocab;  // text and id, in the order of the file
  std::vector<std::string> merges;                     // "left right", as GGUF has them
  AddedTokens added;

  /// A part of `rest`; null where it is missing.
  const nlohmann::json& part(std::string_view name) const;
  /// A switch of the model, false where it is missing or null.
  bool model_flag(std::string_view name) const;
};

/// Throws Error naming file and place where it is damaged, is no byte-pair encoding, or has an option that
/// GGUF cannot express.
TokenizerJson read_tokenizer_json(const std::filesystem::path& path);

/// The same from a text; `where` names it in messages.
TokenizerJson parse_tokenizer_json(const std::string& text, const std::string& where);

/// The entries of a list of added tokens as tokenizer.json has it.
AddedTokens added_tokens_of(const nlohmann::json& list, const std::string& where);

/// Those that tokenizer_config.json lists by their ids; null where there is no such file, at `file`.
AddedTokens tokens_of_config(const nlohmann::json& config, const std::filesystem::path& file);

}  // namespace snug::hf

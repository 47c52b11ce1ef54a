#include "hf/tokenizer/vocabularies.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

constexpr float kFillerScore = -10000;  // of tokens that stand for nothing
constexpr float kNeverJoined = -1e9f;   // 0 would make it the best of all

int64_t ids_used(const TokenizerJson& file) {
  int64_t count = 0;
  for (const auto& [text, id] : file.vocab) count = std::max(count, id + 1);
  return count;
}

/// The number of tokens to list. Added tokens may lie beyond it, for they may have been made for another part
/// of the model; a token of the vocabulary may not.
int64_t list_size(const TokenizerJson& file, int64_t rows) {
  const int64_t used = ids_used(file);
  if (rows == 0) return file.added.empty() ? used : std::max(used, file.added.rbegin()->first + 1);
  if (used > rows)
    throw Error{str("the vocabulary has ids up to ", used - 1, ", the token embedding only ", rows, " rows"),
                file.where, "the tokenizer is of another model, or the embedding was cut"};
  return rows;
}

std::unordered_map<std::string, float> scores_of_merges(const std::vector<std::string>& merges) {
  std::unordered_map<std::string, float> scores;
  scores.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank)
    scores.try_emplace(joined(merges[rank]), -static_cast<float>(rank));
  return scores;
}

std::string unknown_token(const TokenizerJson& file) {
  const nlohmann::json& token = member(file.part("model"), "unk_token");
  return token.is_string() ? token.get<std::string>() : std::string{};
}

bool continues_character(char c) {
  return (static_cast<uint8_t>(c) & 0xC0) == 0x80;
}

TokenKind kind_of(SentencePieces::Kind kind) {
  return static_cast<TokenKind>(kind);  // both number them alike
}

}  // namespace

std::string joined(const std::string& merge) {
  const size_t blank = merge.find(' ', 1);
  return merge.substr(0, blank) + merge.substr(blank + 1);
}

TokenList byte_level_tokens(const TokenizerJson& file, int64_t rows) {
  TokenList tokens{list_size(file, rows), 0};
  for (const auto& [text, id] : file.vocab) tokens.set(id, text, TokenKind::normal);
  for (const auto& [id, added] : file.added) set_added(tokens, id, added, 0);
  return tokens;
}

TokenList scored_tokens(const TokenizerJson& file, int64_t rows) {
  TokenList tokens{list_size(file, rows), kFillerScore};
  const auto scores = scores_of_merges(file.merges);
  const std::string unknown = unknown_token(file);
  for (const auto& [text, id] : file.vocab) {
    const auto score = scores.find(text);
    const TokenKind kind = text == unknown         ? TokenKind::unknown
                           : byte_named(text) >= 0 ? TokenKind::byte
                                                   : TokenKind::normal;
    tokens.set(id, text, kind, score == scores.end() ? kNeverJoined : score->second);
  }
  for (const auto& [id, added] : file.added) set_added(tokens, id, added, kAddedScore);
  return tokens;
}

TokenList sentence_piece_tokens(const SentencePieces& pieces, int64_t rows) {
  TokenList tokens{rows ? rows : static_cast<int64_t>(pieces.pieces.size()), kFillerScore};
  int64_t id = 0;
  for (const auto& [text, score, kind] : pieces.pieces)
    if (kind == SentencePieces::Kind::user_defined)
      set_added(tokens, id++, {.text = text}, kAddedScore);
    else
      tokens.set(id++, text, kind_of(kind), score);
  return tokens;
}

bool lists_every_split(const TokenizerJson& file) {
  std::unordered_set<std::string_view> known;
  known.reserve(file.vocab.size());
  for (const auto& [text, id] : file.vocab) known.insert(text);
  size_t splits = 0;
  for (const std::string_view text : known) {
    if (byte_named(text) >= 0) continue;
    for (size_t at = 1; at < text.size(); ++at)
      if (!continues_character(text[at]) && known.contains(text.substr(0, at)) &&
          known.contains(text.substr(at)))
        ++splits;
  }
  return splits <= file.merges.size();
}

}  // namespace snug::hf

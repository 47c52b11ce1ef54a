#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hf/metadata_builder.hpp"
#include "hf/tokenizer/tokenizer_json.hpp"

namespace snug::hf {

/// The kinds of tokens as tokenizer.ggml.token_type numbers them.
enum class TokenKind : int32_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

/// The tokens of a vocabulary as GGUF lists them: one for every row of the embedding.
class TokenList {
 public:
  /// `size` tokens that stand for nothing, [PAD0] and so on. Throws Error where `size` is out of all reason.
  TokenList(int64_t size, float filler_score);

  int64_t size() const { return static_cast<int64_t>(texts_.size()); }
  const std::string& text(int64_t id) const { return texts_[static_cast<size_t>(id)]; }
  TokenKind kind(int64_t id) const { return static_cast<TokenKind>(kinds_[static_cast<size_t>(id)]); }
  float score(int64_t id) const { return scores_[static_cast<size_t>(id)]; }

  /// Sets token `id`; what has no row in the embedding is only counted.
  void set(int64_t id, std::string text, TokenKind kind, float score = 0);
  void set_kind(int64_t id, TokenKind kind) { kinds_[static_cast<size_t>(id)] = static_cast<int32_t>(kind); }
  void set_score(int64_t id, float score) { scores_[static_cast<size_t>(id)] = score; }

  int64_t left_out() const { return left_out_; }

  /// Throws Error where two tokens are the same: no program could tell them apart. `where` names the file.
  void check_unique(const std::string& where) const;
  void write(MetadataBuilder& metadata, bool with_scores) const;

 private:
  std::vector<std::string> texts_;
  std::vector<int32_t> kinds_;
  std::vector<float> scores_;
  int64_t left_out_ = 0;
};

/// Whether an added token is special or looks it: some models mark control tokens as ordinary.
bool is_control(const AddedToken& added);

/// Sets an added token: control where it is_control(), else user-defined, with real blanks for U+2581.
void set_added(TokenList& tokens, int64_t id, const AddedToken& added, float score);

/// The byte that <0xHH> names, -1 for any other text.
int byte_named(std::string_view text);

}  // namespace snug::hf

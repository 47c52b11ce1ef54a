#include "hf/tokenizer/token_list.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

bool between(std::string_view text, std::string_view begin, std::string_view end) {
  return text.size() >= begin.size() + end.size() && text.starts_with(begin) && text.ends_with(end);
}

bool looks_special(std::string_view text) {
  constexpr std::string_view whole[] = {"<pad>", "<mask>", "<2mass>", "[@BOS@]"};
  return std::ranges::find(whole, text) != std::end(whole) || between(text, "<|", "|>") ||
         between(text, "<｜", "｜>") || between(text, "<unused", ">");
}

std::string with_blanks(std::string text) {
  for (size_t at = 0; (at = text.find(kSpaceMark, at)) != text.npos;)
    text.replace(at, kSpaceMark.size(), 1, ' ');
  return text;
}

}  // namespace

TokenList::TokenList(int64_t size, float filler_score) {
  if (size < 1 || size > kMaxTokens)
    throw Error{str("a vocabulary of ", size, " tokens"), "the token embedding of the model",
                str("from 1 to ", kMaxTokens, " tokens are possible")};
  for (int64_t id = 0; id < size; ++id) texts_.push_back(str("[PAD", id, "]"));
  kinds_.assign(texts_.size(), static_cast<int32_t>(TokenKind::unused));
  scores_.assign(texts_.size(), filler_score);
}

void TokenList::set(int64_t id, std::string text, TokenKind kind, float score) {
  if (id >= size()) {
    ++left_out_;
    return;
  }
  texts_[static_cast<size_t>(id)] = std::move(text);
  set_kind(id, kind);
  set_score(id, score);
}

void TokenList::check_unique(const std::string& where) const {
  std::unordered_map<std::string_view, size_t> ids;
  ids.reserve(texts_.size());
  for (size_t id = 0; id < texts_.size(); ++id)
    if (const auto [at, is_new] = ids.emplace(texts_[id], id); !is_new)
      throw Error{str("tokens ", at->second, " and ", id, " are the same: '", printable(texts_[id]), "'"),
                  where, "the tokenizer is damaged; download it again"};
}

void TokenList::write(MetadataBuilder& metadata, bool with_scores) const {
  metadata.set_array("tokenizer.ggml.tokens", std::span<const std::string>{texts_});
  if (with_scores) metadata.set_array("tokenizer.ggml.scores", std::span<const float>{scores_});
  metadata.set_array("tokenizer.ggml.token_type", std::span<const int32_t>{kinds_});
}

bool is_control(const AddedToken& added) { return added.special || looks_special(added.text); }

void set_added(TokenList& tokens, int64_t id, const AddedToken& added, float score) {
  if (is_control(added))
    tokens.set(id, added.text, TokenKind::control, score);
  else
    tokens.set(id, with_blanks(added.text), TokenKind::user_defined, score);
}

int byte_named(std::string_view text) {
  if (text.size() != 6 || !between(text, "<0x", ">")) return -1;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data() + 3, text.data() + 5, value, 16);
  return error == std::errc{} && end == text.data() + 5 ? value : -1;
}

}  // namespace snug::hf

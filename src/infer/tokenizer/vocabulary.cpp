#include "infer/tokenizer/vocabulary.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <initializer_list>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

constexpr const char* kModelKey = "tokenizer.ggml.model";
constexpr const char* kTokensKey = "tokenizer.ggml.tokens";
constexpr uint64_t kMaxTokens = 1u << 24;

using Texts = std::initializer_list<std::string_view>;

struct SpecialSource {
  Special which;
  const char *key, *older_key;
  std::vector<std::string_view> texts;  // that make a token it where the file names none
};

const std::vector<SpecialSource>& special_sources() {
  static const std::vector<SpecialSource> all{
      {Special::bos, "bos", nullptr, {}},
      {Special::eos, "eos", nullptr, {}},
      {Special::unk, "unknown", nullptr, {}},
      {Special::sep, "seperator", "separator", {}},
      {Special::pad, "padding", nullptr, {}},
      {Special::mask, "mask", nullptr, {}},
      {Special::eot,
       "eot",
       nullptr,
       {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>",
        "_<EOT>", "[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>"}},
      {Special::eom, "eom", nullptr, {"<|eom_id|>"}},
      {Special::fim_prefix,
       "fim_pre",
       "prefix",
       {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
        "<|code_prefix|>", "<|prefix|>"}},
      {Special::fim_suffix,
       "fim_suf",
       "suffix",
       {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
        "<|code_suffix|>", "<|suffix|>"}},
      {Special::fim_middle,
       "fim_mid",
       "middle",
       {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
        "<|code_middle|>", "<|middle|>"}},
      {Special::fim_pad, "fim_pad", nullptr, {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
      {Special::fim_repo,
       "fim_rep",
       nullptr,
       {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
      {Special::fim_file_sep, "fim_sep", nullptr, {"<|file_sep|>"}},
  };
  return all;
}

constexpr std::string_view kEnds[] = {"<|eot_id|>",
                                      "<|im_end|>",
                                      "<|end|>",
                                      "<|return|>",
                                      "<|call|>",
                                      "<|flush|>",
                                      "<|calls|>",
                                      "<end_of_turn>",
                                      "<|endoftext|>",
                                      "</s>",
                                      "<|eom_id|>",
                                      "<EOT>",
                                      "_<EOT>",
                                      "[EOT]",
                                      "[EOS]",
                                      "<|end_of_text|>",
                                      "<end_of_utterance>",
                                      "<eos>",
                                      "<turn|>",
                                      "<|tool_response>",
                                      "<｜end▁of▁sentence｜>",
                                      "[e~["};

int32_t default_special(Special which, VocabularyKind kind, bool default_bos) {
  if (which == Special::bos && !default_bos) return -1;
  if (kind == VocabularyKind::spm)
    return which == Special::bos ? 1 : which == Special::eos ? 2 : which == Special::unk ? 0 : -1;
  if (kind == VocabularyKind::bpe) return which == Special::bos || which == Special::eos ? 11 : -1;
  return -1;
}

uint8_t attribute_of(int64_t type) {
  switch (type) {
    case 1:
      return Vocabulary::normal;
    case 2:
      return Vocabulary::unknown;
    case 3:
      return Vocabulary::control;
    case 4:
      return Vocabulary::user_defined;
    case 6:
      return Vocabulary::byte;
    default:
      return 0;  // undefined, unused
  }
}

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

[[noreturn]] void bad_list(const ModelSource& file, const char* key, const std::string& problem) {
  throw Error{problem, str(file.path().string(), ", key ", key), "the file is damaged or badly converted"};
}

}  // namespace

VocabularyKind vocabulary_kind(const ModelSource& file) {
  const std::string model{file.metadata().text(kModelKey).value_or("none")};
  const std::string where = str(file.path().string(), ", key ", kModelKey);
  if (model == "none" || model == "no_vocab")
    throw Error{"the model has no tokenizer", where, "use a file converted with its vocabulary"};
  if (model == "llama") return VocabularyKind::spm;
  if (model == "gpt2") return VocabularyKind::bpe;
  if (model == "gemma4") return VocabularyKind::gemma4;
  throw Error{str("the tokenizer '", printable(model), "' is not known"), where,
              "known: llama (SentencePiece), gpt2 (byte-pair encoding), gemma4"};
}

Vocabulary::Vocabulary(const ModelSource& file, VocabularyKind kind, bool default_bos) : kind_{kind} {
  read_tokens(file);
  read_scores(file);
  read_types(file);
  find_specials(file, default_bos);
  find_ends();
  for (const std::string_view text : {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"})
    set_only(text, user_defined);  // gpt-oss: part of what is to be seen
  const std::string name = lower(file.metadata().text("general.name").value_or(""));
  if (name.find("phi-3") != name.npos || name.find("phi3") != name.npos) trim_after_specials();
}

int32_t Vocabulary::find(std::string_view text) const {
  const auto found = ids_.find(text);
  return found == ids_.end() ? -1 : found->second;
}

void Vocabulary::read_tokens(const ModelSource& file) {
  const MetadataArray* tokens = file.metadata().array(kTokensKey);
  if (!tokens || !tokens->count) bad_list(file, kTokensKey, "the list of tokens is missing");
  if (tokens->count > kMaxTokens) bad_list(file, kTokensKey, str(tokens->count, " tokens are too many"));
  texts_ = file.metadata().strings(kTokensKey);
  ids_.reserve(texts_.size());
  for (size_t id = 0; id < texts_.size(); ++id) {
    if (texts_[id].empty()) texts_[id] = made_up_.emplace_back(str("[EMPTY_", id, "]"));
    const auto [at, is_new] = ids_.emplace(texts_[id], static_cast<int32_t>(id));
    if (!is_new)
      bad_list(file, kTokensKey,
               str("tokens ", at->second, " and ", id, " are the same: '", printable(texts_[id]), "'"));
  }
}

void Vocabulary::read_scores(const ModelSource& file) {
  constexpr const char* key = "tokenizer.ggml.scores";
  const MetadataArray* scores = file.metadata().array(key);
  if (!scores) return;
  if (scores->count < texts_.size())
    bad_list(file, key, str(scores->count, " scores for ", texts_.size(), " tokens"));
  const std::vector<double> values = file.metadata().reals(key);
  scores_.resize(texts_.size());
  for (size_t id = 0; id < texts_.size(); ++id) {
    if (std::isnan(values[id])) bad_list(file, key, str("the score of token ", id, " is no number"));
    scores_[id] = static_cast<float>(values[id]);
  }
}

void Vocabulary::read_types(const ModelSource& file) {
  constexpr const char* key = "tokenizer.ggml.token_type";
  attributes_.assign(texts_.size(), normal);
  ends_.assign(texts_.size(), false);
  const MetadataArray* types = file.metadata().array(key);
  if (!types) return;
  if (types->count < texts_.size())
    bad_list(file, key, str(types->count, " types for ", texts_.size(), " tokens"));
  const std::vector<int64_t> values = file.metadata().integers(key);
  for (size_t id = 0; id < texts_.size(); ++id) attributes_[id] = attribute_of(values[id]);
}

void Vocabulary::find_specials(const ModelSource& file, bool default_bos) {
  const auto within = [&](int64_t id) { return id >= 0 && id < size(); };
  for (const SpecialSource& source : special_sources()) {
    int32_t& id = special_[static_cast<size_t>(source.which)];
    id = default_special(source.which, kind_, default_bos);
    if (!within(id)) id = -1;
    for (const char* key : {source.older_key, source.key}) {  // the newer one has the last word
      if (!key) continue;
      const auto named = file.metadata().integer(str("tokenizer.ggml.", key, "_token_id"));
      if (named && within(*named)) id = static_cast<int32_t>(*named);
    }
    for (const std::string_view text : source.texts)
      if (id < 0 && (id = find(text)) >= 0) attributes_[static_cast<size_t>(id)] |= control;
  }
}

void Vocabulary::find_ends() {
  for (const std::string_view text : kEnds)
    if (const int32_t id = find(text); id >= 0) {
      ends_[static_cast<size_t>(id)] = true;
      attributes_[static_cast<size_t>(id)] |= control;
    }
  for (const Special which :
       {Special::eos, Special::eot, Special::eom, Special::fim_pad, Special::fim_repo, Special::fim_file_sep})
    if (const int32_t id = special(which); id >= 0) ends_[static_cast<size_t>(id)] = true;

  const auto all = [&](Texts texts) {
    return std::ranges::all_of(texts, [&](auto t) { return find(t) >= 0; });
  };
  const auto no_end = [&](std::string_view text, Attribute becomes) {
    if (const int32_t id = find(text); id >= 0) ends_[static_cast<size_t>(id)] = false;
    set_only(text, becomes);
  };
  if (all({"<|return|>", "<|call|>"}) || all({"<|calls|>", "<|flush|>"})) no_end("<|end|>", user_defined);
  if (all({"<|tool_response>"})) no_end("</s>", normal);
}

void Vocabulary::trim_after_specials() {
  for (uint8_t& attribute : attributes_)
    if (attribute & (control | user_defined | unknown)) attribute |= trims_right;
  if (const int32_t id = find("</s>"); id >= 0) attributes_[static_cast<size_t>(id)] |= trims_right;
  for (const std::string_view text : {"<unk>", "<s>", "<|endoftext|>"})
    if (const int32_t id = find(text); id >= 0) attributes_[static_cast<size_t>(id)] &= ~trims_right & 0xFF;
}

void Vocabulary::set_only(std::string_view text, Attribute attribute) {
  if (const int32_t id = find(text); id >= 0) attributes_[static_cast<size_t>(id)] = attribute;
}

}  // namespace snug::infer

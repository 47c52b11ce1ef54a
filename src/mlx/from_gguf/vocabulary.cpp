#include "mlx/from_gguf/vocabulary.hpp"

#include <algorithm>
#include <unordered_map>

#include "base/str.hpp"
#include "hf/tokenizer/pre_tokenizer_name.hpp"
#include "snug/error.hpp"

namespace snug::mlx {
namespace {

bool continues_character(char c) {
  return (static_cast<uint8_t>(c) & 0xC0) == 0x80;
}

/// Texts begin with BOS where the file does not say: SentencePiece's do, and those of some pre-tokenizers.
bool adds_bos_by_default(std::string_view model, std::string_view pre) {
  constexpr std::string_view kWith[] = {"llama-bpe", "llama3",  "llama-v3", "falcon3",  "falcon-h1",
                                        "pixtral",   "lfm2",    "tekken",   "midm-2.0", "jina-v5-nano"};
  return model == "llama" || std::ranges::find(kWith, pre) != std::end(kWith);
}

struct Merge {
  std::string_view left, right;
  double score;
  size_t token;
};

}  // namespace

Vocabulary::Vocabulary(const ModelSource& source) {
  const Metadata& metadata = source.metadata();
  model = metadata.text("tokenizer.ggml.model").value_or("none");
  pre = metadata.text("tokenizer.ggml.pre").value_or("default");
  tokens = metadata.strings("tokenizer.ggml.tokens");
  kinds = metadata.integers("tokenizer.ggml.token_type");
  scores = metadata.reals("tokenizer.ggml.scores");
  merges = metadata.strings("tokenizer.ggml.merges");
  if (kinds.empty()) kinds.assign(tokens.size(), normal);
  if (kinds.size() != tokens.size() || (!scores.empty() && scores.size() < tokens.size()))
    throw Error{"the tokens have no type or score each", metadata.where(),
                "the file is damaged; convert the model again"};
  adds_bos = model == "gemma4" ||  // whatever the file says
             metadata.boolean("tokenizer.ggml.add_bos_token").value_or(adds_bos_by_default(model, pre));
  adds_eos = metadata.boolean("tokenizer.ggml.add_eos_token").value_or(false);
  adds_space = metadata.boolean("tokenizer.ggml.add_space_prefix").value_or(model == "llama");
}

std::optional<int64_t> Vocabulary::id_of(const Metadata& metadata, const char* role) const {
  auto id = metadata.integer(str("tokenizer.ggml.", role, "_token_id"));
  if (!id && model == "llama") {  // which SentencePiece has these
    const std::string_view name{role};
    if (name == "bos") id = 1;
    if (name == "eos") id = 2;
    if (name == "unknown") id = 0;
  }
  if (!id || *id < 0 || *id >= static_cast<int64_t>(tokens.size())) return {};
  return id;
}

std::vector<std::pair<std::string_view, std::string_view>> merges_of_scores(const Vocabulary& vocabulary) {
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id)
    if (vocabulary.kinds[id] != Vocabulary::byte && vocabulary.kinds[id] != Vocabulary::control)
      ids.emplace(vocabulary.tokens[id], id);
  std::vector<Merge> all;
  for (const auto& [text, id] : ids)
    for (size_t at = 1; at < text.size(); ++at) {
      if (continues_character(text[at]) || vocabulary.kinds[id] == Vocabulary::user_defined) continue;
      const std::string_view left = text.substr(0, at), right = text.substr(at);
      if (ids.contains(left) && ids.contains(right))
        all.push_back({left, right, id < vocabulary.scores.size() ? vocabulary.scores[id] : 0, id});
    }
  std::ranges::sort(all, [](const Merge& a, const Merge& b) {
    if (a.score != b.score) return a.score > b.score;
    if (a.token != b.token) return a.token < b.token;
    return a.left.size() < b.left.size();
  });
  std::vector<std::pair<std::string_view, std::string_view>> merges;
  for (const Merge& merge : all) merges.emplace_back(merge.left, merge.right);
  return merges;
}

}  // namespace snug::mlx

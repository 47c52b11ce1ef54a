#include "hf/tokenizer/losses.hpp"

#include <algorithm>
#include <unordered_set>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "hf/tokenizer/normalizer.hpp"
#include "hf/tokenizer/token_list.hpp"
#include "hf/tokenizer/vocabularies.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;

/// Calls `visit` on a step, or on those of a sequence.
template <class Visit>
void each_step(const json& step, const char* inner, const Visit& visit) {
  if (member(step, "type") == "Sequence")
    for (const json& one : member(step, inner)) each_step(one, inner, visit);
  else if (!step.is_null())
    visit(step);
}

bool adds_blank_before_bytes(const TokenizerJson& file) {
  bool adds = false;
  each_step(file.part("pre_tokenizer"), "pretokenizers", [&](const json& step) {
    adds = adds || (member(step, "type") == "ByteLevel" && is_true(step, "add_prefix_space"));
  });
  return adds;
}

bool has_prepend(const TokenizerJson& file) {
  bool found = false;
  each_step(file.part("normalizer"), "normalizers",
            [&](const json& step) { found = found || member(step, "type") == "Prepend"; });
  return found;
}

template <class Test>
bool any_added(const TokenizerJson& file, const Test& test) {
  return std::ranges::any_of(file.added, [&](const auto& entry) { return test(entry.second); });
}

/// Scores have one place for all the ways to make a token; merges may have them apart, with other tokens between. A few
/// come from tokens that were equally good, as runs of blanks and of line ends.
bool scatters_merges(const TokenizerJson& file) {
  std::unordered_set<std::string> done;
  std::string last;
  size_t apart = 0;
  for (const std::string& merge : file.merges) {
    std::string token = joined(merge);
    if (token == last) continue;
    if (!done.insert(token).second) ++apart;
    last = std::move(token);
  }
  return apart * 100 > file.merges.size();
}

/// Tokens that every text gets besides the first and the last.
bool adds_more_tokens(const json& processor) {
  bool more = false;
  each_step(processor, "processors", [&](const json& step) {
    const json& single = member(step, "single");
    if (!single.is_array()) return;
    const auto is_token = [](const json& element) { return !member(element, "SpecialToken").is_null(); };
    const auto inside = std::ranges::count_if(single, is_token);
    const bool first = !single.empty() && is_token(single.front()), last = single.size() > 1 && is_token(single.back());
    more = more || inside > first + last;
  });
  return more;
}

}  // namespace

void remark_losses(const TokenizerJson& file, bool bytes, std::vector<std::string>& remarks) {
  const auto remark_if = [&](bool holds, const char* sentence) {
    if (holds) remarks.emplace_back(sentence);
  };
  remark_if(normalizer_of(file).composes,
            "the tokenizer composes characters first (Unicode NFC), which GGUF cannot say: text that is not in that form "
            "gets other tokens");
  const json& dropout = member(file.part("model"), "dropout");
  remark_if(dropout.is_number() && dropout.get<double>() > 0,
            "the tokenizer leaves out merges at random (dropout), which GGUF cannot say: all of them are made");
  remark_if(bytes && adds_blank_before_bytes(file),
            "the tokenizer puts a blank in front of texts (add_prefix_space), which GGUF cannot say of an encoding of "
            "bytes: the first word of a text gets other tokens");
  remark_if(bytes && any_added(file, [](const AddedToken& t) { return !is_control(t) && t.text.find(kSpaceMark) != t.text.npos; }),
            "an added token has U+2581 in its text, which stands for a blank in GGUF");
  remark_if(!bytes && has_prepend(file) && any_added(file, [](const AddedToken& t) { return t.normalized; }),
            "some added tokens are looked for in the changed text (normalized), which GGUF cannot say: beside words they "
            "can be missed or found otherwise");
  remark_if(!bytes && scatters_merges(file),
            "llama.cpp may join characters in another order than the merges of tokenizer.json; some words can get other "
            "tokens");
  remark_if(adds_more_tokens(file.part("post_processor")),
            "texts get more tokens than a first and a last one (post_processor), which GGUF cannot say: the others are "
            "left out");
}

void check_no_splits(const TokenizerJson& file) {
  const bool marks = normalizer_of(file).marks_blanks;
  each_step(file.part("pre_tokenizer"), "pretokenizers", [&](const json& step) {
    const bool at_blanks = marks && member(step, "type") == "Split" && member(member(step, "pattern"), "String") == " ";
    if (member(step, "type") != "Metaspace" && !at_blanks)
      throw Error{str("the tokenizer parts texts in a way that GGUF cannot express: ", printable(step.dump())),
                  str(file.where, ": $.pre_tokenizer"), "models whose tokenizer does so cannot be converted"};
  });
}

}  // namespace snug::hf

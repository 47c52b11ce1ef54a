#include "hf/tokenizer/normalizer.hpp"

#include <string_view>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;

[[noreturn]] void cannot_express(const TokenizerJson& file, const char* part, const json& step) {
  throw Error{str("the tokenizer changes texts in a way that GGUF cannot express: ", printable(step.dump())),
              str(file.where, ": $.", part), "models whose tokenizer does so cannot be converted"};
}

bool is_blank_to_mark(const json& step) {
  return member(member(step, "pattern"), "String") == " " && member(step, "content") == kSpaceMark;
}

void add_step(const TokenizerJson& file, const json& step, Normalizer& to) {
  const json& type = member(step, "type");
  if (type == "Sequence")
    for (const json& each : member(step, "normalizers")) add_step(file, each, to);
  else if (type == "NFC")
    to.composes = true;
  else if (type == "Prepend" && member(step, "prepend") == kSpaceMark)
    to.leading_blank = true;
  else if (type == "Replace" && is_blank_to_mark(step))
    to.marks_blanks = true;
  else
    cannot_express(file, "normalizer", step);
}

/// Metaspace, a pre-tokenizer, does the same to blanks.
void add_metaspace(const json& step, Normalizer& to) {
  if (member(step, "type") == "Sequence")
    for (const json& each : member(step, "pretokenizers")) add_metaspace(each, to);
  if (member(step, "type") != "Metaspace" || member(step, "replacement") != kSpaceMark) return;
  to.marks_blanks = true;
  const json& scheme = member(step, "prepend_scheme");
  const bool never = scheme.is_string() ? scheme == "never" : member(step, "add_prefix_space") == false;
  to.leading_blank = to.leading_blank || !never;
  to.only_where_missing = !never;
}

}  // namespace

Normalizer normalizer_of(const TokenizerJson& file) {
  Normalizer found;
  if (const json& steps = file.part("normalizer"); !steps.is_null()) add_step(file, steps, found);
  add_metaspace(file.part("pre_tokenizer"), found);
  return found;
}

}  // namespace snug::hf

#include "eval/same_tokens.hpp"

#include <algorithm>
#include <vector>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {

void check_same_tokens(const ModelSource& model, const ModelSource& original) {
  constexpr const char* key = "tokenizer.ggml.tokens";
  const MetadataArray *a = model.metadata().array(key), *b = original.metadata().array(key);
  if (!a || !b || a->count != b->count) return;  // how many there are is checked with the logits
  const std::vector<std::string_view> ours = model.metadata().strings(key),
                                      theirs = original.metadata().strings(key);
  const auto [at, other] = std::ranges::mismatch(ours, theirs);
  if (at == ours.end()) return;
  throw Error{str("the vocabularies differ: token ", at - ours.begin(), " is '", printable(*at),
                  "' in the model and '", printable(*other), "' in the original"),
              original.path().string(), "compare a model with what it was made from"};
}

}  // namespace snug::infer

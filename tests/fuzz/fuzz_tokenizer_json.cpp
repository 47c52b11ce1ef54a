#include <cstddef>
#include <cstdint>
#include <string>

#include "hf/tokenizer/normalizer.hpp"
#include "hf/tokenizer/pre_tokenizer_name.hpp"
#include "hf/tokenizer/special_tokens.hpp"
#include "hf/tokenizer/split_pattern.hpp"
#include "hf/tokenizer/vocabularies.hpp"
#include "snug/error.hpp"

namespace {

template <class Work>
void allow_errors(const Work& work) {
  try {
    work();
  } catch (const snug::Error&) {
  }
}

}  // namespace

/// Any text is a tokenizer that becomes keys, or an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace snug::hf;
  const std::string text{reinterpret_cast<const char*>(data), size};
  if (size < 4096) canonical_split_pattern(text);
  allow_errors([&] {
    const TokenizerJson file = parse_tokenizer_json(text, "fuzz");
    allow_errors([&] { pre_tokenizer_name(file, {}); });
    allow_errors([&] { normalizer_of(file); });
    lists_every_split(file);
    MetadataBuilder keys;
    SpecialTokens{&file, file.part("tokenizer_config"), file.part("config")}.write(keys, 1000);
    for (const int64_t rows : {int64_t{0}, int64_t{300}})
      allow_errors([&] {
        byte_level_tokens(file, rows).check_unique("fuzz");
        scored_tokens(file, rows).write(keys, true);
      });
    keys.finish("fuzz");
  });
  return 0;
}

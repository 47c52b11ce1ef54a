#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "infer/tokenizer/pre_tokenizer.hpp"
#include "infer/tokenizer/vocabulary.hpp"

namespace snug::infer {

/// Turns text without special tokens into ids. Immutable; threads share it.
class Merger {
 public:
  virtual ~Merger() = default;
  /// Appends the ids of `text`, any bytes, to `ids`.
  virtual void encode(std::string_view text, std::vector<int32_t>& ids) const = 0;
};

/// SentencePiece: whatever two neighbours make a token are joined, the best score first. Blanks are U+2581 by
/// now.
std::unique_ptr<Merger> make_spm_merger(const Vocabulary& vocabulary);

/// Byte pairs: words by the pre-tokenizer, joined in the order of tokenizer.ggml.merges. Throws Error where
/// the merges are missing or malformed.
std::unique_ptr<Merger> make_bpe_merger(const ModelSource& file, const Vocabulary& vocabulary,
                                        const PreTokenizer& pre);

/// Ids of single bytes: `<0xHH>`, else the token of that very byte, else -1.
int32_t byte_token(const Vocabulary& vocabulary, uint8_t byte);

}  // namespace snug::infer

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "hf/tokenizer/vocabularies.hpp"
#include "snug/error.hpp"

/// Any bytes are a SentencePiece model or an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto pieces = snug::hf::parse_sentence_pieces({reinterpret_cast<const char*>(data), size}, "fuzz");
    snug::hf::sentence_piece_tokens(pieces, 0).check_unique("fuzz");
  } catch (const snug::Error&) {
  }
  return 0;
}

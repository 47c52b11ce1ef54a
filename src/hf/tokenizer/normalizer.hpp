#pragma once

#include "hf/tokenizer/tokenizer_json.hpp"

namespace snug::hf {

/// What becomes of a text before it is split, as far as GGUF can say it.
struct Normalizer {
  bool marks_blanks = false;        // a blank becomes U+2581
  bool leading_blank = false;       // texts get one in front
  bool only_where_missing = false;  // unless the text begins with one
  bool composes = false;            // to Unicode's NFC
};

/// Throws Error naming a step that GGUF cannot express.
Normalizer normalizer_of(const TokenizerJson& file);

}  // namespace snug::hf

#pragma once

#include <string>
#include <vector>

#include "hf/tokenizer/tokenizer_json.hpp"

namespace snug::hf {

/// What a tokenizer does that GGUF cannot say, though most texts get the same tokens: a remark for each.
/// `bytes`: an encoding of bytes, else of characters.
void remark_losses(const TokenizerJson& file, bool bytes, std::vector<std::string>& remarks);

/// Error where an encoding of characters parts texts before it joins them, other than at the blanks it marks.
void check_no_splits(const TokenizerJson& file);

}  // namespace snug::hf

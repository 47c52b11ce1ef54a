#pragma once

#include <string>
#include <vector>

#include "snug/model.hpp"

namespace snug::mlx {

struct TextFile {
  std::string name, text;
};

/// The files beside config.json of a model that was read from a GGUF file, from its keys: tokenizer.json,
/// tokenizer_config.json, the chat template, defaults of generation. Without a tokenizer there are fewer.
/// Throws Error where the tokenizer is of a kind, or cuts words in a way, that tokenizer.json of this library
/// cannot say.
std::vector<TextFile> companions_of_keys(const ModelSource& model);

/// Throws the same Error of a kind of tokenizer that cannot be said, without making the files.
void check_tokenizer(const ModelSource& model);

}  // namespace snug::mlx

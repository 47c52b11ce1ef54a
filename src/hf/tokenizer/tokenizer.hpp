#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hf/metadata_builder.hpp"

namespace snug::hf {

/// What the keys of a tokenizer depend on besides its own files.
struct TokenizerContext {
  std::string architecture;           // as GGUF names it: "llama", "qwen3moe"
  int64_t vocab_size = 0;             // rows of the token embedding; 0: as many as the tokenizer has tokens
  const nlohmann::json* config;       // config.json
  const nlohmann::json* text_config;  // its part about the text model, defaults not filled in
  std::vector<std::string>* remarks;  // what was left out or taken for granted, a sentence each
};

/// Adds the keys of the tokenizer of a checkpoint folder, tokenizer.ggml.* and the chat template, as GGUF has
/// them. A folder without any tokenizer gives a model that runs on token ids alone, with a remark. Throws
/// Error naming the file where one is damaged or of a kind that is not known.
void add_tokenizer(const std::filesystem::path& folder, const TokenizerContext& context,
                   MetadataBuilder& metadata);

}  // namespace snug::hf

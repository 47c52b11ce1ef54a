#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hf/metadata_builder.hpp"

namespace snug::hf {

/// Adds tokenizer.chat_template, and the further named ones, of a checkpoint folder. tokenizer_config.json
/// has the first word, then chat_template.jinja, then chat_template.json. `tokenizer_config`: null where
/// there is none. Throws Error where a file is damaged.
void add_chat_template(const std::filesystem::path& folder, const nlohmann::json& tokenizer_config,
                       std::vector<std::string>& remarks, MetadataBuilder& metadata);

}  // namespace snug::hf

#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "hf/metadata_builder.hpp"
#include "hf/tokenizer/tokenizer_json.hpp"

namespace snug::hf {

/// The tokens with a role (BOS, EOS and their kin) and which of them texts get: tokenizer.ggml.*_token_id and
/// add_*_token. Of several sources the first that names a token has it.
class SpecialTokens {
 public:
  /// tokenizer, tokenizer_config: null where the file is not there. `config`: config.json.
  SpecialTokens(const TokenizerJson* tokenizer, nlohmann::json tokenizer_config,
                const nlohmann::json& config);

  /// Names a token unless something did already. `role` as in bos_token: "eot".
  void set(const std::string& role, int64_t id);
  std::optional<int64_t> find(const std::string& role) const;
  std::optional<bool> adds(const std::string& role) const;

  /// Ids of `vocab_size` and more are left out.
  void write(MetadataBuilder& metadata, int64_t vocab_size) const;

 private:
  void read_post_processor(const nlohmann::json& processor);
  void read_template(const nlohmann::json& processor);
  void read_pair(const nlohmann::json& pair, const std::string& first, const std::string& last);
  void read_first(const std::string& token);
  void read_last(const std::string& token);
  void read_tokenizer_config();
  void find_end(const nlohmann::json& config);
  bool separates(const nlohmann::json& element) const;
  std::string named(const std::string& role) const;  // by tokenizer_config; empty: none
  void name(const std::string& role, const std::string& token);

  const TokenizerJson* tokenizer_;
  nlohmann::json config_;  // tokenizer_config.json, with what the post-processor adds to it
  std::vector<std::string> roles_{"bos", "eos", "unk", "sep", "pad", "cls", "mask"};
  std::map<std::string, int64_t> ids_;
  std::map<std::string, bool> adds_;
};

}  // namespace snug::hf

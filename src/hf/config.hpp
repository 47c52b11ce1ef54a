#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace snug::hf {

/// The names one quantity has in different checkpoints; the first that is there counts.
using Names = std::initializer_list<std::string_view>;

/// config.json as a reader of the text model needs it: the text model's part over the rest, what the file is silent
/// about as transformers' classes have it, both spellings of rotary embeddings as one.
class Config {
 public:
  /// Reads config.json of a folder. Throws Error where it is missing, damaged, or names no model class.
  explicit Config(const std::filesystem::path& folder);
  /// The text of config.json; `where` names the file.
  Config(const std::string& text, std::string where);

  const std::string& class_name() const { return class_; }       // "LlamaForCausalLM"
  const std::string& model_type() const { return model_type_; }  // of the text model: "qwen3_moe"
  const std::string& where() const { return where_; }
  const nlohmann::json& file() const { return file_; }  // as it is
  const nlohmann::json& text() const { return text_; }  // merged and filled

  /// The first of the names that is there and not null; nullptr if none is.
  const nlohmann::json* find(Names names) const;

  // Nothing where the value is missing or null; Error where it is of another kind.
  std::optional<int64_t> integer(Names names) const;  // 0 to 2^31; 64.0 counts as 64
  std::optional<double> real(Names names) const;
  std::optional<bool> flag(Names names) const;
  std::optional<std::string> string(Names names) const;
  std::vector<double> reals(Names names) const;           // empty where missing
  std::vector<std::string> strings(Names names) const;    // empty where missing
  int64_t need_integer(Names names) const;                // Error where missing
  double need_real(Names names) const;

  int64_t layers() const { return need_integer({"num_hidden_layers", "n_layers", "n_layer", "num_layers"}); }
  int64_t hidden() const { return need_integer({"hidden_size", "n_embd", "dim"}); }
  int64_t heads() const;     // at least 1
  int64_t kv_heads() const;  // at least 1
  int64_t head_dim() const;  // 1 to 65536

  /// Rotary embedding of the layers with full attention, and of those with a window where they have their own
  /// (else an empty object). Flat values and class defaults are filled in.
  const nlohmann::json& rope() const { return rope_; }
  const nlohmann::json& sliding_rope() const { return sliding_rope_; }
  std::optional<double> rope_real(const char* key) const;
  std::string rope_type() const;  // "default", "yarn"
  /// The share of `size` that is rotated, rounded down. Error unless it is one.
  int64_t rotated(int64_t size, std::optional<double> share) const;

  /// Another part of a multimodal model's file, as "vision_config", by itself, with what its own class fills in. Error
  /// where the file has none.
  Config part(const char* name) const;
  std::optional<Config> part_if_any(const char* name) const;  // nothing where the file has none

  [[noreturn]] void refuse(const std::string& problem, const std::string& remedy = {}) const;
  /// The same of what is sound, but cannot be told to the loaders of the model that it would become.
  [[noreturn]] void cannot_be_said(const std::string& problem) const;

 private:
  void read();
  void pick_class();
  void read_rope();

  nlohmann::json file_, text_, rope_, sliding_rope_ = nlohmann::json::object();
  std::string class_, model_type_, where_;
};

/// Fills in what transformers' class of a model type supplies where the file is silent.
void fill_defaults(nlohmann::json& config, std::string_view model_type);

/// The text model's type inside a multimodal one ("gemma3" has "gemma3_text"); the same name for any other.
std::string_view text_type_of(std::string_view model_type);
/// The reverse, of one that has a multimodal model around it.
std::string_view whole_type_of(std::string_view text_type);

}  // namespace snug::hf

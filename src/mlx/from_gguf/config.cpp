#include "mlx/from_gguf/config.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/str.hpp"
#include "mlx/from_gguf/class_config.hpp"
#include "snug/error.hpp"

namespace snug::mlx {
namespace {

using nlohmann::json;

constexpr Word kWords[] = {
    {"embedding_length", "hidden_size"},
    {"feed_forward_length", "intermediate_size"},
    {"attention.head_count", "num_attention_heads"},
    {"attention.head_count_kv", "num_key_value_heads"},
    {"context_length", "max_position_embeddings"},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", true},
    {"rope.freq_base", "rope_theta", true},
    {"final_logit_softcapping", "final_logit_softcapping", true},
    {"attn_logit_softcapping", "attn_logit_softcapping", true},
};

/// Keys that some architectures give layer by layer are left to their own functions.
void say(const Keys& keys, const Word& word, json& config) {
  const std::string key{word.key};
  if (word.is_real) {
    if (const auto value = keys.real(key)) config[word.word] = *value;
  } else if (const auto values = keys.of_layers(key);
             !values.empty() && std::ranges::count(values, values[0]) == std::ssize(values)) {
    config[word.word] = values[0];
  }
}

void say_tokens(const ModelSource& model, json& config) {
  const Metadata& metadata = model.metadata();
  for (const auto& [key, word] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                  std::pair{"tokenizer.ggml.padding_token_id", "pad_token_id"}})
    if (const auto id = metadata.integer(key)) config[word] = *id;
  const std::vector<int64_t> ends = end_tokens(model);
  if (ends.size() == 1) config["eos_token_id"] = ends[0];
  if (ends.size() > 1) config["eos_token_id"] = ends;
}

}  // namespace

std::vector<int64_t> end_tokens(const ModelSource& model) {
  std::vector<int64_t> ends;
  for (const char* key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    if (const auto id = model.metadata().integer(key); id && std::ranges::find(ends, *id) == ends.end())
      ends.push_back(*id);
  return ends;
}

json config_of_keys(const ModelSource& model) {
  const Keys keys{model};
  const ConfigClass& its = config_class(keys);
  if (keys.shape().heads < 1) keys.refuse("the keys say nothing of attention heads");
  if (keys.layers() < 1 || keys.layers() > std::ssize(model.tensors()))
    keys.refuse(str("the keys say that there are ", keys.layers(), " layers"));
  json config{{"architectures", {its.name}},
              {"model_type", its.model_type},
              {"num_hidden_layers", keys.layers()},
              {"torch_dtype", "bfloat16"},
              {"hidden_act", "silu"},
              {"head_dim", keys.head_dim()},
              {"tie_word_embeddings", keys.shape().tied_output}};
  for (const Word& word : kWords) say(keys, word, config);
  for (const Word& word : its.words) say(keys, word, config);
  if (!config.contains("num_key_value_heads") && config.contains("num_attention_heads"))
    config["num_key_value_heads"] = config["num_attention_heads"];
  add_rope_scaling(keys, config);
  if (its.special) its.special(keys, config);
  say_tokens(model, config);
  return config;
}

double meant_by(double f32) {
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, static_cast<float>(f32));
  double meant = f32;
  if (error == std::errc{}) std::from_chars(digits, end, meant);
  return meant;
}

std::string Keys::full(std::string_view key) const {
  return str(shape_.architecture, ".", key);
}

std::optional<double> Keys::real(std::string_view key) const {
  const auto value = model_.metadata().real(full(key));
  return value ? std::optional{meant_by(*value)} : std::nullopt;
}

std::optional<std::string> Keys::text(std::string_view key) const {
  const auto value = model_.metadata().text(full(key));
  return value ? std::optional{std::string{*value}} : std::nullopt;
}

std::vector<int64_t> Keys::of_layers(std::string_view key) const {
  const MetadataValue* value = model_.metadata().find(full(key));
  if (!value) return {};
  if (std::holds_alternative<MetadataArray>(*value)) return model_.metadata().integers(full(key));
  const auto one = integer(key);
  return one ? std::vector<int64_t>{*one} : std::vector<int64_t>{};
}

int64_t Keys::need_integer(std::string_view key) const {
  const auto value = integer(key);
  if (!value) refuse(str("the key '", full(key), "' is missing"));
  return *value;
}

void Keys::refuse(const std::string& what) const {
  throw Error{what, model_.path().string(),
              "start from the folder of the checkpoint, or quantize it for llama.cpp"};
}

}  // namespace snug::mlx

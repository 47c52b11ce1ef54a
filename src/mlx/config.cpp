#include "mlx/config.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/config.hpp"
#include "hf/gemma_scales.hpp"
#include "mlx/from_gguf/config.hpp"
#include "quant/mlx_modes.hpp"

namespace snug::mlx {
namespace {

using nlohmann::json;

json to_json(const MlxMode& mode) {
  return {{"group_size", mode.group_size}, {"bits", mode.bits}, {"mode", mode.name}};
}

/// What the most modules have: all others are said one by one.
MlxMode commonest(const std::map<std::string, FormatId>& quantized) {
  std::map<MlxMode, size_t> counts;
  for (const auto& [path, format] : quantized) ++counts[*mlx_mode_of(format)];
  return std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; })->first;
}

/// Both loaders take: whole numbers and a mode at the top and in every entry, entries for quantized modules alone.
json quantization_block(const std::map<std::string, FormatId>& quantized) {
  const MlxMode common = commonest(quantized);
  json block = to_json(common);
  for (const auto& [path, format] : quantized)
    if (const MlxMode mode = *mlx_mode_of(format); mode != common) block[path] = to_json(mode);
  return block;
}

bool is_missing(const json& object, const char* key) { return !object.contains(key) || object[key].is_null(); }

/// Newer files say in rope_parameters what mlx_lm's models read as single values.
void say_rope(const hf::Config& config, json& text) {
  if (const auto theta = config.rope_real("rope_theta"); theta && is_missing(text, "rope_theta")) text["rope_theta"] = *theta;
  const json& sliding = config.sliding_rope();
  if (sliding.contains("rope_theta") && is_missing(text, "rope_local_base_freq"))
    text["rope_local_base_freq"] = sliding["rope_theta"];
  const std::string type = config.rope_type();
  if (!is_missing(text, "rope_scaling") || type == "default" || type == "proportional") return;
  json scaling = config.rope();
  scaling.erase("rope_theta");
  scaling["type"] = scaling["rope_type"] = type;
  text["rope_scaling"] = scaling;
}

/// The heads of Gemma 4's layers of full attention, which newer files say layer by layer.
void say_full_attention(const ModelSource& model, json& text) {
  if (is_missing(text, "per_layer_config")) return;
  const Metadata& metadata = model.metadata();
  if (const auto size = metadata.integer("gemma4.attention.key_length")) text["global_head_dim"] = *size;
  const MetadataValue* heads = metadata.find("gemma4.attention.head_count_kv");  // one number, or one a layer
  if (!heads || !std::holds_alternative<MetadataArray>(*heads)) return;
  const std::vector<int64_t> counts = std::get<MetadataArray>(*heads).integers();
  const std::vector<int64_t> slides = metadata.integers("gemma4.attention.sliding_window_pattern");
  const auto full = std::ranges::find(slides, 0);
  if (full != slides.end()) text["num_global_key_value_heads"] = counts.at(static_cast<size_t>(full - slides.begin()));
}

int64_t need_number(const ModelSource& model, std::string_view architecture, const char* key) {
  return model.metadata().integer(str(architecture, ".", key)).value_or(0);
}

/// What mlx_lm's classes of some architectures want said, or have another default for.
void say_of_class(const ModelSource& model, const hf::Config& config, json& text) {
  const auto put = [&](const char* key, const json& value) {
    if (is_missing(text, key)) text[key] = value;
  };
  const std::string_view architecture = model.metadata().text("general.architecture").value_or("");
  const bool has_delta_nets = architecture == "qwen3next" || architecture.starts_with("qwen35");
  if (has_delta_nets) put("full_attention_interval", need_number(model, architecture, "full_attention_interval"));
  if (has_delta_nets || architecture == "glm4moe") {
    put("head_dim", config.head_dim());
    put("partial_rotary_factor", config.rope_real("partial_rotary_factor").value_or(architecture == "glm4moe" ? 0.5 : 0.25));
  }
  if (architecture.starts_with("qwen35")) {
    json rope = config.rope();
    rope["type"] = config.rope_type();
    rope["partial_rotary_factor"] = text["partial_rotary_factor"];
    text["rope_parameters"] = rope;
  }
  if (architecture == "glm4moe") {
    put("attention_bias", model.find("blk.0.attn_q.bias") != nullptr);
    put("use_qk_norm", model.find("blk.0.attn_q_norm.weight") != nullptr);
    if (!text.contains("rope_scaling")) text["rope_scaling"] = nullptr;  // it must be there
  }
  if (architecture == "gemma2" || architecture == "gemma3")  // the weights hold the rest of the scale
    text["query_pre_attn_scalar"] = hf::gemma_query_divisor(config);
  if (architecture == "gemma2")
    for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"}) put(cap, hf::kNoCap);
  if (text.contains("rope_interleave")) text["rope_interleave"] = true;  // as the rows lie now
  // It takes none but a linear one, and does not compute that either.
  if (architecture == "qwen2moe") text.erase("rope_scaling");
  if (text.value("model_type", "") == "deepseek_v2" && is_missing(text, "rope_scaling"))
    // It always computes YaRN: by 1, nothing changes.
    text["rope_scaling"] = {{"type", "yarn"}, {"factor", 1.0}, {"original_max_position_embeddings", text["max_position_embeddings"]}};
}

/// What the class of the text model reads from its own part.
void say_of_text(const ModelSource& model, const hf::Config& config, json& text) {
  say_full_attention(model, text);
  say_rope(config, text);
  for (const auto& [name, other] : {std::pair{"num_experts", "num_local_experts"}, std::pair{"num_local_experts", "num_experts"}})
    if (is_missing(text, name) && !is_missing(text, other)) text[name] = text[other];  // either name serves in the source
  hf::fill_defaults(text, config.model_type());
  if (!is_missing(text, "num_experts") && is_missing(text, "mlp_only_layers")) text["mlp_only_layers"] = json::array();
  say_of_class(model, config, text);
  if (!is_missing(text, "_sliding_window_pattern") && is_missing(text, "sliding_window_pattern"))
    text["sliding_window_pattern"] = text["_sliding_window_pattern"];
}

void say_types(json& object, FormatId floats, bool tied) {
  object["tie_word_embeddings"] = tied;
  for (const char* key : {"dtype", "torch_dtype"})
    if (object.contains(key)) object[key] = floats == FormatId::f16 ? "float16" : "bfloat16";
}

/// Where the text model was saved by itself, but mlx_lm has a class for the whole alone.
bool is_part_alone(const json& config) {
  const std::string type = config.value("model_type", "");
  return !config.contains("text_config") && type.starts_with("qwen3_5");
}

json as_part(json text) {
  json whole;
  for (const char* key : {"architectures", "dtype", "torch_dtype", "eos_token_id", "tie_word_embeddings", "vocab_size"})
    if (text.contains(key)) whole[key] = text[key];
  whole["model_type"] = std::string{hf::whole_type_of(text["model_type"].get<std::string>())};
  whole["text_config"] = std::move(text);
  return whole;
}

hf::Config source_config(const ModelSource& model) {
  if (std::filesystem::is_directory(model.path())) return hf::Config{model.path()};
  return {json_text(config_of_keys(model)), model.path().string()};
}

}  // namespace

std::string config_text(const ModelSource& model, const std::map<std::string, FormatId>& quantized, FormatId floats,
                        bool tied) {
  const hf::Config source = source_config(model);
  json config = source.file();
  for (const char* key : {"_name_or_path", "vision_config", "audio_config", "quantization", "quantization_config"})
    config.erase(key);
  const bool wrapped = config.contains("text_config") && config["text_config"].is_object();
  json& text = wrapped ? config["text_config"] : config;
  text.erase("quantization_config");
  say_of_text(model, source, text);
  for (json* part : {&config, &text}) {
    say_types(*part, floats, tied);
    (*part)["vocab_size"] = model.find("token_embd.weight")->rows();
  }
  if (is_part_alone(config)) config = as_part(std::move(config));
  if (!quantized.empty()) config["quantization"] = config["quantization_config"] = quantization_block(quantized);
  return json_text(config, 4) + "\n";
}

}  // namespace snug::mlx

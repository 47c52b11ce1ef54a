#include "mlx/config.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "base/json_reader.hpp"
#include "hf/config.hpp"
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

/// What the class of the text model reads from its own part.
void say_of_text(const ModelSource& model, const hf::Config& config, json& text) {
  say_full_attention(model, text);
  say_rope(config, text);
  for (const auto& [name, other] : {std::pair{"num_experts", "num_local_experts"}, std::pair{"num_local_experts", "num_experts"}})
    if (is_missing(text, name) && !is_missing(text, other)) text[name] = text[other];  // either name serves in the source
  hf::fill_defaults(text, config.model_type());
  if (!is_missing(text, "num_experts") && is_missing(text, "mlp_only_layers")) text["mlp_only_layers"] = json::array();
  if (!is_missing(text, "_sliding_window_pattern") && is_missing(text, "sliding_window_pattern"))
    text["sliding_window_pattern"] = text["_sliding_window_pattern"];
}

void say_types(json& object, FormatId floats, bool tied) {
  object["tie_word_embeddings"] = tied;
  for (const char* key : {"dtype", "torch_dtype"})
    if (object.contains(key)) object[key] = floats == FormatId::f16 ? "float16" : "bfloat16";
}

}  // namespace

std::string config_text(const ModelSource& model, const std::map<std::string, FormatId>& quantized, FormatId floats,
                        bool tied) {
  const hf::Config source{model.path()};
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
  if (!quantized.empty()) config["quantization"] = config["quantization_config"] = quantization_block(quantized);
  return json_text(config, 4) + "\n";
}

}  // namespace snug::mlx

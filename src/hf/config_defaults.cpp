// What transformers' classes fill in where config.json is silent, as far as a reader of the text model asks for it.
#include <algorithm>
#include <iterator>

#include "hf/config.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;

/// A value "=a" is that of the key a, "=a/b" the quotient; such a value also replaces a null.
struct Row {
  std::string_view model_type, like;  // `like`: the rest is that type's
  const char* values;
};

constexpr Row kRows[] = {
    {"llama", "", R"({"vocab_size":32000,"hidden_size":4096,"intermediate_size":11008,"num_hidden_layers":32,
      "num_attention_heads":32,"num_key_value_heads":"=num_attention_heads",
      "head_dim":"=hidden_size/num_attention_heads","max_position_embeddings":2048,"rms_norm_eps":1e-6,
      "rope_theta":10000.0,"tie_word_embeddings":false,"bos_token_id":1,"eos_token_id":2})"},
    {"mistral", "llama", R"({"intermediate_size":14336,"num_key_value_heads":8,"max_position_embeddings":131072,
      "sliding_window":4096})"},
    {"mixtral", "", R"({"vocab_size":32000,"hidden_size":4096,"intermediate_size":14336,"num_hidden_layers":32,
      "num_attention_heads":32,"num_key_value_heads":8,"max_position_embeddings":131072,"rms_norm_eps":1e-5,
      "rope_theta":1000000.0,"num_local_experts":8,"num_experts_per_tok":2,"tie_word_embeddings":false,
      "bos_token_id":1,"eos_token_id":2})"},
    {"ministral3", "", R"({"vocab_size":131072,"hidden_size":4096,"intermediate_size":14336,"num_hidden_layers":34,
      "num_attention_heads":32,"num_key_value_heads":8,"head_dim":128,"max_position_embeddings":262144,
      "rms_norm_eps":1e-5,"rope_parameters":{"rope_type":"yarn","rope_theta":1000000.0,"factor":16.0,
      "original_max_position_embeddings":16384,"beta_fast":32.0,"beta_slow":1.0,"mscale":1.0,"mscale_all_dim":1.0,
      "llama_4_scaling_beta":0.1},"tie_word_embeddings":false,"bos_token_id":1,"eos_token_id":2})"},
    {"qwen2", "", R"({"vocab_size":151936,"hidden_size":4096,"intermediate_size":22016,"num_hidden_layers":32,
      "num_attention_heads":32,"num_key_value_heads":32,"max_position_embeddings":32768,"rms_norm_eps":1e-6,
      "rope_theta":10000.0,"tie_word_embeddings":false})"},
    {"qwen3", "qwen2", R"({"head_dim":128})"},
    {"qwen2_moe", "", R"({"vocab_size":151936,"hidden_size":2048,"intermediate_size":5632,"num_hidden_layers":24,
      "num_attention_heads":16,"num_key_value_heads":16,"max_position_embeddings":32768,"rms_norm_eps":1e-6,
      "rope_theta":10000.0,"tie_word_embeddings":false,"moe_intermediate_size":1408,
      "shared_expert_intermediate_size":5632,"num_experts_per_tok":4,"num_experts":60,"norm_topk_prob":false,
      "decoder_sparse_step":1})"},
    {"qwen3_moe", "", R"({"vocab_size":151936,"hidden_size":2048,"intermediate_size":6144,"num_hidden_layers":24,
      "num_attention_heads":32,"num_key_value_heads":4,"max_position_embeddings":32768,"rms_norm_eps":1e-6,
      "rope_theta":10000.0,"tie_word_embeddings":false,"moe_intermediate_size":768,"num_experts_per_tok":8,
      "num_experts":128,"norm_topk_prob":false,"decoder_sparse_step":1})"},
    {"qwen3_next", "", R"({"vocab_size":151936,"hidden_size":2048,"intermediate_size":5632,"num_hidden_layers":48,
      "num_attention_heads":16,"num_key_value_heads":2,"head_dim":256,"max_position_embeddings":32768,
      "rms_norm_eps":1e-6,"rope_theta":10000.0,"partial_rotary_factor":0.25,"tie_word_embeddings":false,
      "linear_conv_kernel_dim":4,"linear_key_head_dim":128,"linear_value_head_dim":128,"linear_num_key_heads":16,
      "linear_num_value_heads":32,"moe_intermediate_size":512,"shared_expert_intermediate_size":512,
      "num_experts_per_tok":10,"num_experts":512,"norm_topk_prob":true,"decoder_sparse_step":1})"},
    {"qwen3_5_text", "", R"({"vocab_size":248320,"hidden_size":4096,"intermediate_size":12288,"num_hidden_layers":32,
      "num_attention_heads":16,"num_key_value_heads":4,"head_dim":256,"max_position_embeddings":32768,
      "rms_norm_eps":1e-6,"rope_theta":10000.0,"partial_rotary_factor":0.25,"tie_word_embeddings":false,
      "linear_conv_kernel_dim":4,"linear_key_head_dim":128,"linear_value_head_dim":128,"linear_num_key_heads":16,
      "linear_num_value_heads":32})"},
    {"qwen3_5_moe_text", "", R"({"vocab_size":248320,"hidden_size":2048,"num_hidden_layers":40,
      "num_attention_heads":16,"num_key_value_heads":2,"head_dim":256,"max_position_embeddings":32768,
      "rms_norm_eps":1e-6,"rope_theta":10000.0,"partial_rotary_factor":0.25,"tie_word_embeddings":false,
      "linear_conv_kernel_dim":4,"linear_key_head_dim":128,"linear_value_head_dim":128,"linear_num_key_heads":16,
      "linear_num_value_heads":32,"moe_intermediate_size":512,"shared_expert_intermediate_size":512,
      "num_experts_per_tok":8,"num_experts":256})"},
    {"qwen2_vl_text", "", R"({"vocab_size":152064,"hidden_size":8192,"intermediate_size":29568,"num_hidden_layers":80,
      "num_attention_heads":64,"num_key_value_heads":8,"max_position_embeddings":32768,"rms_norm_eps":1e-5,
      "rope_theta":1000000.0,"tie_word_embeddings":false,"bos_token_id":151643,"eos_token_id":151645})"},
    {"qwen2_5_vl_text", "qwen2_vl_text", "{}"},
    {"qwen3_vl_text", "qwen3", R"({"max_position_embeddings":128000,"rope_theta":500000.0})"},
    {"qwen3_vl_moe_text", "", R"({"vocab_size":151936,"hidden_size":2048,"intermediate_size":5632,
      "num_hidden_layers":24,"num_attention_heads":16,"num_key_value_heads":16,
      "head_dim":"=hidden_size/num_attention_heads","max_position_embeddings":128000,"rms_norm_eps":1e-6,
      "rope_theta":500000.0,"tie_word_embeddings":true,"moe_intermediate_size":1408,"num_experts_per_tok":4,
      "num_experts":60,"decoder_sparse_step":1})"},
    {"gemma2", "", R"({"vocab_size":256000,"hidden_size":2304,"intermediate_size":9216,"num_hidden_layers":26,
      "num_attention_heads":8,"num_key_value_heads":4,"head_dim":256,"max_position_embeddings":8192,
      "rms_norm_eps":1e-6,"rope_theta":10000.0,"tie_word_embeddings":true,"sliding_window":4096,
      "query_pre_attn_scalar":256,"attn_logit_softcapping":50.0,"final_logit_softcapping":30.0,"pad_token_id":0,
      "eos_token_id":1,"bos_token_id":2})"},
    {"gemma3_text", "", R"({"vocab_size":262208,"hidden_size":2304,"intermediate_size":9216,"num_hidden_layers":26,
      "num_attention_heads":8,"num_key_value_heads":4,"head_dim":256,"max_position_embeddings":131072,
      "rms_norm_eps":1e-6,"rope_theta":1000000.0,"rope_local_base_freq":10000.0,"tie_word_embeddings":true,
      "sliding_window":4096,"query_pre_attn_scalar":256,"pad_token_id":0,"eos_token_id":1,"bos_token_id":2})"},
    {"gemma4_text", "", R"({"vocab_size":262144,"hidden_size":2304,"intermediate_size":9216,"num_hidden_layers":30,
      "num_attention_heads":8,"num_key_value_heads":4,"head_dim":256,"global_head_dim":512,
      "max_position_embeddings":131072,"rms_norm_eps":1e-6,"rope_parameters":{"sliding_attention":
      {"rope_type":"default","rope_theta":10000.0},"full_attention":{"rope_type":"proportional",
      "partial_rotary_factor":0.25,"rope_theta":1000000.0}},"tie_word_embeddings":true,"sliding_window":512,
      "vocab_size_per_layer_input":262144,"hidden_size_per_layer_input":256,"attention_k_eq_v":false,
      "num_kv_shared_layers":0,"enable_moe_block":false,"use_double_wide_mlp":false,"pad_token_id":0,
      "eos_token_id":1,"bos_token_id":2})"},
    {"phi3", "", R"({"vocab_size":32064,"hidden_size":3072,"intermediate_size":8192,"num_hidden_layers":32,
      "num_attention_heads":32,"num_key_value_heads":"=num_attention_heads","max_position_embeddings":4096,
      "original_max_position_embeddings":4096,"rms_norm_eps":1e-5,"rope_theta":10000.0,"partial_rotary_factor":1.0,
      "tie_word_embeddings":false,"bos_token_id":1,"eos_token_id":32000,"pad_token_id":32000})"},
    {"gpt_oss", "", R"({"vocab_size":201088,"hidden_size":2880,"intermediate_size":2880,"num_hidden_layers":36,
      "num_attention_heads":64,"num_key_value_heads":8,"head_dim":64,"max_position_embeddings":131072,
      "rms_norm_eps":1e-5,"rope_theta":150000.0,"rope_parameters":{"rope_type":"yarn","factor":32.0,
      "beta_fast":32.0,"beta_slow":1.0,"truncate":false,"original_max_position_embeddings":4096},
      "sliding_window":128,"num_local_experts":128,"num_experts_per_tok":4,
      "tie_word_embeddings":false})"},
    {"glm4_moe", "", R"({"vocab_size":151552,"hidden_size":4096,"intermediate_size":10944,"num_hidden_layers":46,
      "num_attention_heads":96,"num_key_value_heads":8,"max_position_embeddings":131072,"rms_norm_eps":1e-5,
      "rope_theta":10000.0,"partial_rotary_factor":0.5,"tie_word_embeddings":false,"moe_intermediate_size":1408,
      "num_experts_per_tok":8,"n_shared_experts":1,"n_routed_experts":128,"routed_scaling_factor":1.0,"n_group":1,
      "topk_group":1,"first_k_dense_replace":1,"norm_topk_prob":true})"},
    {"glm4v_moe_text", "glm4_moe", R"({"vocab_size":151424,"max_position_embeddings":65536})"},
    {"deepseek_v2", "", R"({"vocab_size":102400,"hidden_size":4096,"intermediate_size":11008,"num_hidden_layers":32,
      "num_attention_heads":32,"num_key_value_heads":"=num_attention_heads","max_position_embeddings":2048,
      "rms_norm_eps":1e-6,"rope_theta":10000.0,"tie_word_embeddings":false,"head_dim":"=qk_rope_head_dim",
      "first_k_dense_replace":0,"kv_lora_rank":512,"q_lora_rank":1536,"n_routed_experts":64,"n_shared_experts":2,
      "qk_nope_head_dim":128,"qk_rope_head_dim":64,"routed_scaling_factor":1.0,"norm_topk_prob":false,
      "topk_method":"greedy","v_head_dim":128,"moe_intermediate_size":1407,"bos_token_id":1,"eos_token_id":2})"},
    {"deepseek_v3", "", R"({"vocab_size":129280,"hidden_size":7168,"intermediate_size":18432,
      "moe_intermediate_size":2048,"num_hidden_layers":61,"num_attention_heads":128,
      "num_key_value_heads":"=num_attention_heads","n_shared_experts":1,"n_routed_experts":256,
      "routed_scaling_factor":2.5,"kv_lora_rank":512,"q_lora_rank":1536,"qk_rope_head_dim":64,"v_head_dim":128,
      "qk_nope_head_dim":128,"n_group":8,"topk_group":4,"num_experts_per_tok":8,"first_k_dense_replace":3,
      "norm_topk_prob":true,"max_position_embeddings":4096,"rms_norm_eps":1e-6,"rope_theta":10000.0,
      "head_dim":"=qk_rope_head_dim","scoring_func":"sigmoid","tie_word_embeddings":false,"bos_token_id":0,"eos_token_id":1})"},
    {"siglip_vision_model", "", R"({"hidden_size":768,"intermediate_size":3072,"num_hidden_layers":12,
      "num_attention_heads":12,"image_size":224,"patch_size":16,"layer_norm_eps":1e-6})"},
    {"gemma4_vision", "", R"({"hidden_size":768,"intermediate_size":3072,"num_hidden_layers":16,
      "num_attention_heads":12,"patch_size":16})"},
    {"gemma4_audio", "", R"({"hidden_size":1024,"num_hidden_layers":12,"num_attention_heads":8})"},
    {"pixtral", "", R"({"hidden_size":1024,"intermediate_size":4096,"num_hidden_layers":24,
      "num_attention_heads":16,"image_size":1024,"patch_size":16,"hidden_act":"gelu"})"},
    {"qwen2_vl_vision", "", R"({"depth":32,"embed_dim":1280,"hidden_size":3584,"intermediate_size":"=hidden_size",
      "num_heads":16,"patch_size":14,"spatial_merge_size":2})"},
    {"qwen2_5_vl_vision", "", R"({"depth":32,"hidden_size":3584,"intermediate_size":3420,"num_heads":16,"patch_size":14,
      "spatial_merge_size":2,"fullatt_block_indexes":[7,15,23,31]})"},
    {"qwen3_vl_vision", "qwen3_5_vision", R"({"deepstack_visual_indexes":[8,16,24]})"},
    {"qwen3_vl_moe_vision", "qwen3_vl_vision", "{}"},
    {"qwen3_5_vision", "", R"({"depth":27,"hidden_size":1152,"intermediate_size":4304,"num_heads":16,"patch_size":16,
      "spatial_merge_size":2,"num_position_embeddings":2304})"},
    {"qwen3_5_moe_vision", "qwen3_5_vision", "{}"},
};

struct TextType {
  std::string_view whole, text;
};

constexpr TextType kTextTypes[] = {
    {"gemma3", "gemma3_text"},         {"gemma4", "gemma4_text"},
    {"gemma4_unified", "gemma4_text"}, {"gemma4_unified_text", "gemma4_text"},
    {"mistral3", "mistral"},           {"qwen3_5", "qwen3_5_text"},
    {"qwen3_5_moe", "qwen3_5_moe_text"}, {"llava", "llama"},
    {"qwen2_vl", "qwen2_vl_text"},     {"qwen2_5_vl", "qwen2_5_vl_text"},
    {"qwen3_vl", "qwen3_vl_text"},     {"qwen3_vl_moe", "qwen3_vl_moe_text"},
};

bool is_set(const json& config, std::string_view key) { return config.contains(key) && !config[key].is_null(); }

/// The value of "=a" or "=a/b"; null where it cannot be worked out.
json worked_out(const json& config, std::string_view formula) {
  const size_t slash = formula.find('/');
  const std::string_view a = formula.substr(1, slash == formula.npos ? slash : slash - 1);
  if (!is_set(config, a)) return {};
  if (slash == formula.npos) return config[a];
  const std::string_view b = formula.substr(slash + 1);
  if (!is_set(config, b) || !config[a].is_number_integer() || !config[b].is_number_integer()) return {};
  const auto divisor = config[b].get<int64_t>();
  return divisor > 0 ? json(config[a].get<int64_t>() / divisor) : json{};
}

/// A rope object of the class counts only where the file has neither spelling of one, or a null.
bool counts(const json& config, const std::string& key) {
  if (key == "rope_parameters") return !is_set(config, key) && !is_set(config, "rope_scaling");
  return !config.contains(key);
}

void fill_from(json& config, const Row& row) {
  const json values = json::parse(row.values);
  for (const auto& [key, value] : values.items())
    if (!(value.is_string() && value.get<std::string>().starts_with('=')) && counts(config, key)) config[key] = value;
}

void work_out(json& config, const Row& row) {
  const json values = json::parse(row.values);
  for (const auto& [key, value] : values.items())
    if (value.is_string() && value.get<std::string>().starts_with('=') && !is_set(config, key))
      config[key] = worked_out(config, value.get<std::string>());
}

}  // namespace

void fill_defaults(json& config, std::string_view model_type) {
  const auto row = std::ranges::find(kRows, model_type, &Row::model_type);
  if (row == std::end(kRows)) return;
  fill_from(config, *row);
  if (!row->like.empty()) fill_defaults(config, row->like);
  work_out(config, *row);
}

std::string_view text_type_of(std::string_view model_type) {
  const auto found = std::ranges::find(kTextTypes, model_type, &TextType::whole);
  return found == std::end(kTextTypes) ? model_type : found->text;
}

std::string_view whole_type_of(std::string_view text_type) {
  const auto found = std::ranges::find(kTextTypes, text_type, &TextType::text);
  return found == std::end(kTextTypes) ? text_type : found->whole;
}

}  // namespace snug::hf

#include "mlx/from_gguf/class_config.hpp"

#include <algorithm>
#include <cmath>

#include "base/printable.hpp"
#include "base/str.hpp"

namespace snug::mlx {
namespace {

using nlohmann::json;

double share(const Keys& keys) {
  return static_cast<double>(keys.need_integer("rope.dimension_count")) /
         static_cast<double>(std::max<int64_t>(1, keys.head_dim()));
}

int64_t rows_of(const Keys& keys, std::string_view tensor) {
  const Tensor* found = keys.model().find(tensor);
  return found ? found->shape[1] : 0;
}

const std::vector<Word> kExperts = {
    {"expert_count", "num_experts"},
    {"expert_used_count", "num_experts_per_tok"},
    {"expert_feed_forward_length", "moe_intermediate_size"},
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
};

void llama(const Keys& keys, json& config) {
  config["attention_bias"] = keys.has("blk.0.attn_q.bias");
  config["mlp_bias"] = keys.has("blk.0.ffn_up.bias");
  if (keys.real("attention.temperature_scale"))
    keys.refuse("attention is scaled by the position, which mlx_lm computes in a class of its own");
}

void qwen_moe(const Keys& keys, json& config) {
  config["decoder_sparse_step"] = 1;
  config["mlp_only_layers"] = json::array();
  config["norm_topk_prob"] = keys.shape().architecture != "qwen2moe";
  if (!config.contains("shared_expert_intermediate_size"))
    if (const int64_t rows = rows_of(keys, "blk.0.ffn_up_shexp.weight"))
      config["shared_expert_intermediate_size"] = rows;
}

/// Every so many layers one has full attention. Loaders of these architectures take no notice of a list.
int64_t period(const Keys& keys, int64_t usual) {
  const std::vector<int64_t> said = keys.of_layers("attention.sliding_window_pattern");
  if (said.size() != 1) return usual;
  return said[0] > 0 ? said[0] : keys.layers() + 1;
}

/// Two sizes of the published models have another scale of queries than their heads' size.
void gemma2(const Keys& keys, json& config) {
  const bool largest = keys.layers() == 46;
  config["query_pre_attn_scalar"] = largest ? keys.shape().embedding / keys.shape().heads : keys.head_dim();
  config["hidden_act"] = config["hidden_activation"] = "gelu_pytorch_tanh";
  config["rope_theta"] = keys.real("rope.freq_base").value_or(10000);
}

void gemma3(const Keys& keys, json& config) {
  const bool largest = keys.layers() == 62;
  config["query_pre_attn_scalar"] = largest ? keys.shape().embedding / keys.shape().heads : keys.head_dim();
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config.erase("hidden_act");
  config["sliding_window_pattern"] = keys.integer("attention.sliding_window") ? period(keys, 6) : 1;
  config["rope_theta"] = keys.real("rope.freq_base").value_or(1e6);
  config["rope_local_base_freq"] = keys.real("rope.freq_base_swa").value_or(1e4);
  if (config.contains("final_logit_softcapping"))
    keys.refuse("logits are capped, which mlx_lm does not compute in this class");
}

void phi3(const Keys& keys, json& config) {
  config["partial_rotary_factor"] = share(keys);
  config["original_max_position_embeddings"] =
      keys.integer("rope.scaling.original_context_length").value_or(keys.shape().context);
  config.erase("head_dim");
}

void gpt_oss(const Keys& keys, json& config) {
  config["intermediate_size"] = keys.need_integer("expert_feed_forward_length");
  config["attention_bias"] = true;
  json types = json::array();
  const int64_t every = period(keys, 2);
  for (int64_t l = 0; l < keys.layers(); ++l)
    types.push_back((l + 1) % every == 0 ? "full_attention" : "sliding_attention");
  config["layer_types"] = types;
  if (!config.contains("rope_scaling"))  // else the class takes the published models' for granted
    config["rope_parameters"] = {{"rope_type", "default"},
                                 {"rope_theta", keys.real("rope.freq_base").value_or(150000)}};
}

void delta_nets(const Keys& keys, json& config) {
  const int64_t values = keys.need_integer("ssm.time_step_rank");
  if (values < 1) keys.refuse("there are no value heads");
  config["linear_value_head_dim"] = keys.need_integer("ssm.inner_size") / values;
  config["full_attention_interval"] = keys.integer("full_attention_interval").value_or(4);
  config["partial_rotary_factor"] = share(keys);
  if (keys.shape().experts > 0) qwen_moe(keys, config);
}

void qwen35(const Keys& keys, json& config) {
  delta_nets(keys, config);
  json rope{{"type", "default"},
            {"rope_type", "default"},
            {"rope_theta", config["rope_theta"]},
            {"partial_rotary_factor", config["partial_rotary_factor"]}};
  std::vector<int64_t> sections = keys.of_layers("rope.dimension_sections");
  if (sections.size() > 3) sections.resize(3);
  if (sections.size() == 3) rope["mrope_section"] = sections;
  config["rope_parameters"] = rope;
}

void glm4_moe(const Keys& keys, json& config) {
  config["partial_rotary_factor"] = share(keys);
  config["attention_bias"] = keys.has("blk.0.attn_q.bias");
  config["use_qk_norm"] = keys.has("blk.0.attn_q_norm.weight");
  config["n_group"] = keys.integer("expert_group_count").value_or(1);
  config["topk_group"] = keys.integer("expert_group_used_count").value_or(1);
  config["norm_topk_prob"] = keys.integer("expert_weights_norm").value_or(0) != 0;
}

void deepseek(const Keys& keys, json& config) {
  const int64_t rotated = keys.need_integer("rope.dimension_count");
  config["qk_rope_head_dim"] = rotated;
  config["qk_nope_head_dim"] = keys.need_integer("attention.key_length_mla") - rotated;
  config["num_key_value_heads"] = keys.shape().heads;
  if (!config.contains("q_lora_rank")) config["q_lora_rank"] = nullptr;
  const int64_t groups = keys.integer("expert_group_count").value_or(1);
  config["n_group"] = groups;
  config["topk_group"] = keys.integer("expert_group_used_count").value_or(1);
  config["norm_topk_prob"] = keys.integer("expert_weights_norm").value_or(0) != 0;
  const bool is_v3 = config["model_type"] == "deepseek_v3";
  config["topk_method"] = is_v3 ? "noaux_tc" : groups > 1 ? "group_limited_greedy" : "greedy";
  config.erase("head_dim");
}

/// One number for the layers with a window and one for those without, or the same for both.
struct ByAttention {
  int64_t sliding = 0, full = 0;

  ByAttention(const Keys& keys, std::string_view key, const std::vector<int64_t>& slides) {
    const std::vector<int64_t> numbers = keys.of_layers(key);
    if (numbers.size() != 1 && numbers.size() != slides.size())
      keys.refuse(str("the key '", key, "' has not one number a layer"));
    for (size_t l = slides.size(); l-- > 0;)
      (slides[l] ? sliding : full) = numbers[numbers.size() == 1 ? 0 : l];
  }
};

/// The share of a head that turns: divisors of the rest are so large that it stands still.
double turning_share(const Keys& keys) {
  const Tensor* divisors = keys.model().find("rope_freqs.weight");
  if (!divisors) return 1;
  const std::vector<float> values = divisors->values();
  return static_cast<double>(std::ranges::count(values, 1.0f)) / static_cast<double>(values.size());
}

/// Whether layers of full attention have no values of their own.
bool has_keys_for_values(const Keys& keys, const std::vector<int64_t>& slides) {
  for (size_t l = 0; l < slides.size(); ++l)
    if (!slides[l] && keys.has(str("blk.", l, ".attn_k.weight")))
      return !keys.has(str("blk.", l, ".attn_v.weight"));
  return false;
}

void gemma4_attention(const Keys& keys, const std::vector<int64_t>& slides, json& config) {
  const ByAttention kv_heads{keys, "attention.head_count_kv", slides};
  json types = json::array();
  for (const int64_t is_sliding : slides)
    types.push_back(is_sliding ? "sliding_attention" : "full_attention");
  config["layer_types"] = types;
  config["head_dim"] = keys.integer("attention.key_length_swa").value_or(keys.head_dim());
  config["global_head_dim"] = keys.head_dim();
  config["num_key_value_heads"] = kv_heads.sliding;
  if (kv_heads.full != kv_heads.sliding) config["num_global_key_value_heads"] = kv_heads.full;
  config["num_kv_shared_layers"] = keys.integer("attention.shared_kv_layers").value_or(0);
  config["attention_k_eq_v"] = has_keys_for_values(keys, slides);
  config["rope_parameters"] = {
      {"sliding_attention",
       {{"rope_type", "default"}, {"rope_theta", keys.real("rope.freq_base_swa").value_or(10000)}}},
      {"full_attention",
       {{"rope_type", "proportional"},
        {"partial_rotary_factor", turning_share(keys)},
        {"rope_theta", keys.real("rope.freq_base").value_or(1e6)}}}};
}

void gemma4(const Keys& keys, json& config) {
  const std::vector<int64_t> slides = keys.of_layers("attention.sliding_window_pattern");
  const std::vector<int64_t> widths = keys.of_layers("feed_forward_length");
  if (std::ssize(slides) != keys.layers() || widths.empty())
    keys.refuse("the keys do not say which layers have a window");
  gemma4_attention(keys, slides, config);
  config["intermediate_size"] = std::ranges::min(widths);
  config["use_double_wide_mlp"] = std::ranges::max(widths) > std::ranges::min(widths);
  config["hidden_size_per_layer_input"] = keys.integer("embedding_length_per_layer_input").value_or(0);
  if (const int64_t rows = rows_of(keys, "per_layer_token_embd.weight"))
    config["vocab_size_per_layer_input"] = rows;
  config["enable_moe_block"] = keys.shape().experts > 0;
  config["hidden_activation"] = "gelu_pytorch_tanh";
  for (const char* word : {"hidden_act", "rope_theta"}) config.erase(word);
}

const std::vector<Word> kGemma4 = {{"attention.sliding_window", "sliding_window"},
                                   {"expert_count", "num_experts"},
                                   {"expert_used_count", "top_k_experts"},
                                   {"expert_feed_forward_length", "moe_intermediate_size"}};

const std::vector<Word> kDeepseek = {
    {"attention.kv_lora_rank", "kv_lora_rank"},
    {"attention.q_lora_rank", "q_lora_rank"},
    {"attention.value_length_mla", "v_head_dim"},
    {"expert_count", "n_routed_experts"},
    {"expert_used_count", "num_experts_per_tok"},
    {"expert_shared_count", "n_shared_experts"},
    {"expert_feed_forward_length", "moe_intermediate_size"},
    {"leading_dense_block_count", "first_k_dense_replace"},
    {"expert_weights_scale", "routed_scaling_factor", true},
};

std::vector<Word> joined(std::vector<Word> words, const std::vector<Word>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const std::vector<Word> kDeltaNets = {{"ssm.conv_kernel", "linear_conv_kernel_dim"},
                                      {"ssm.state_size", "linear_key_head_dim"},
                                      {"ssm.group_count", "linear_num_key_heads"},
                                      {"ssm.time_step_rank", "linear_num_value_heads"}};
const std::vector<Word> kMixtral = {{"expert_count", "num_local_experts"},
                                    {"expert_used_count", "num_experts_per_tok"}};
const std::vector<Word> kGptOss = {{"expert_count", "num_local_experts"},
                                   {"expert_used_count", "num_experts_per_tok"},
                                   {"attention.sliding_window", "sliding_window"}};
const std::vector<Word> kWindow = {{"attention.sliding_window", "sliding_window"}};
const std::vector<Word> kGlm = {{"expert_count", "n_routed_experts"},
                                {"expert_used_count", "num_experts_per_tok"},
                                {"expert_shared_count", "n_shared_experts"},
                                {"expert_feed_forward_length", "moe_intermediate_size"},
                                {"leading_dense_block_count", "first_k_dense_replace"},
                                {"expert_weights_scale", "routed_scaling_factor", true}};

/// Of several for one architecture, the first is for those with experts, or with a bias of their choice.
const std::vector<ConfigClass>& classes() {
  static const std::vector<ConfigClass> all{
      {"llama", "mixtral", "MixtralForCausalLM", kMixtral},
      {"llama", "llama", "LlamaForCausalLM", {}, llama},
      {"qwen2", "qwen2", "Qwen2ForCausalLM"},
      {"qwen3", "qwen3", "Qwen3ForCausalLM"},
      {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", kExperts, qwen_moe},
      {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", kExperts, qwen_moe},
      {"gemma2", "gemma2", "Gemma2ForCausalLM", kWindow, gemma2},
      {"gemma3", "gemma3_text", "Gemma3ForCausalLM", kWindow, gemma3},
      {"gemma4", "gemma4_text", "Gemma4ForCausalLM", kGemma4, gemma4},
      {"phi3", "phi3", "Phi3ForCausalLM", {}, phi3},
      {"gpt-oss", "gpt_oss", "GptOssForCausalLM", kGptOss, gpt_oss},
      {"qwen3next", "qwen3_next", "Qwen3NextForCausalLM", joined(kDeltaNets, kExperts), delta_nets},
      {"qwen35", "qwen3_5_text", "Qwen3_5ForCausalLM", kDeltaNets, qwen35},
      {"qwen35moe", "qwen3_5_moe_text", "Qwen3_5MoeForCausalLM", joined(kDeltaNets, kExperts), qwen35},
      {"glm4moe", "glm4_moe", "Glm4MoeForCausalLM", kGlm, glm4_moe},
      {"deepseek2", "deepseek_v3", "DeepseekV3ForCausalLM", kDeepseek, deepseek},
      {"deepseek2", "deepseek_v2", "DeepseekV2ForCausalLM", kDeepseek, deepseek},
  };
  return all;
}

bool is_first_of_two(const Keys& keys) {
  if (keys.shape().architecture == "llama") return keys.shape().experts > 0;
  return std::ranges::any_of(keys.model().tensors(),
                             [](const Tensor& t) { return t.name.ends_with("exp_probs_b.bias"); });
}

}  // namespace

const ConfigClass& config_class(const Keys& keys) {
  std::vector<const ConfigClass*> found;
  for (const ConfigClass& one : classes())
    if (one.architecture == keys.shape().architecture) found.push_back(&one);
  if (found.empty())
    keys.refuse(str("snug does not know the config.json of a model of the architecture '",
                    printable(keys.shape().architecture), "'"));
  return *(found.size() > 1 && is_first_of_two(keys) ? found.front() : found.back());
}

}  // namespace snug::mlx

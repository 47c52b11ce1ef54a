// GLM 4.5 to 4.7.
#include "hf/family.hpp"

namespace snug::hf {
namespace {

constexpr Rule kRules[] = {
    {"post_attention_layernorm", "post_attention_norm"},
    {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},
    {"eh_proj", "nextn.eh_proj"},
    {"enorm", "nextn.enorm"},
    {"hnorm", "nextn.hnorm"},
    {"embed_tokens", "nextn.embed_tokens"},
    {"shared_head.head", "nextn.shared_head_head"},
    {"shared_head.norm", "nextn.shared_head_norm"},
};

void glm4_moe_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
  add_common_keys(config, blocks, keys);
  keys.number("rope.dimension_count",
              config.rotated(config.head_dim(), config.rope_real("partial_rotary_factor").value_or(0.5)));
  keys.number("expert_count", config.integer({"n_routed_experts"}));
  keys.number("expert_feed_forward_length", config.integer({"moe_intermediate_size"}));
  keys.number("expert_shared_count", config.integer({"n_shared_experts"}));
  keys.number("leading_dense_block_count", config.integer({"first_k_dense_replace"}));
  keys.number("expert_gating_func", 2);
  keys.real("expert_weights_scale", config.real({"routed_scaling_factor"}));
  keys.flag("expert_weights_norm", config.flag({"norm_topk_prob"}));
  keys.number("nextn_predict_layers", checkpoint.predictors);
}

}  // namespace

const Family kGlm4Moe{
    .architecture = "glm4moe",
    .rules = {kRules, kAttentionRules, kExpertRules, kDenseRules},
    .keys = glm4_moe_keys,
    .keeps_predictors = true,
    .needed = "attn_norm attn_q attn_k attn_v attn_output post_attention_norm",
};

}  // namespace snug::hf

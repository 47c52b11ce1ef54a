// Qwen 2 and 3, dense and with experts.
#include "hf/family.hpp"

namespace snug::hf {
namespace {

void dense_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  add_common_keys(checkpoint.config, blocks, keys);
}

/// What GGUF says by the architecture alone, and so cannot say otherwise.
void check_experts(const Config& config, bool normalised) {
  if (config.flag({"norm_topk_prob"}).value_or(normalised) != normalised)
    config.refuse(normalised ? "the weights of the chosen experts are not normalised (norm_topk_prob false), which "
                               "GGUF cannot say of this architecture"
                             : "the weights of the chosen experts are normalised (norm_topk_prob true), which GGUF "
                               "cannot say of this architecture");
  const auto* dense = config.find({"mlp_only_layers"});
  if (config.integer({"decoder_sparse_step"}).value_or(1) != 1 || (dense && !dense->empty()))
    config.refuse("some layers have no experts (decoder_sparse_step, mlp_only_layers), which GGUF cannot say of this "
                  "architecture");
}

void expert_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  dense_keys(checkpoint, blocks, keys);
  const Config& config = checkpoint.config;
  keys.number("expert_feed_forward_length", config.integer({"moe_intermediate_size"}));
  keys.number("expert_shared_feed_forward_length", config.integer({"shared_expert_intermediate_size"}));
  check_experts(config, keys.architecture() == "qwen3moe");
}

constexpr std::string_view kNeeded = "attn_norm attn_q attn_k attn_v attn_output ffn_norm";

}  // namespace

const Family kQwen2{
    .architecture = "qwen2",
    .rules = {kAttentionRules, kPostAttentionIsFfnNorm, kDenseRules},
    .keys = dense_keys,
    .needed = kNeeded,
};

const Family kQwen3{
    .architecture = "qwen3",
    .rules = {kAttentionRules, kPostAttentionIsFfnNorm, kDenseRules},
    .keys = dense_keys,
    .needed = kNeeded,
};

const Family kQwen2Moe{
    .architecture = "qwen2moe",
    .rules = {kAttentionRules, kPostAttentionIsFfnNorm, kExpertRules},
    .keys = expert_keys,
    .needs_head = true,
    .needed = kNeeded,
};

const Family kQwen3Moe{
    .architecture = "qwen3moe",
    .rules = {kAttentionRules, kPostAttentionIsFfnNorm, kExpertRules},
    .keys = expert_keys,
    .needed = kNeeded,
};

}  // namespace snug::hf

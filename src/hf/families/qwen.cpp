// Qwen 2 and 3, dense and with experts.
#include "hf/family.hpp"

namespace snug::hf {
namespace {

void dense_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  add_common_keys(checkpoint.config, blocks, keys);
}

void expert_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  dense_keys(checkpoint, blocks, keys);
  const Config& config = checkpoint.config;
  keys.number("expert_feed_forward_length", config.integer({"moe_intermediate_size"}));
  keys.number("expert_shared_feed_forward_length", config.integer({"shared_expert_intermediate_size"}));
}

}  // namespace

const Family kQwen2{
    .architecture = "qwen2",
    .rules = {kAttentionRules, kPostAttentionIsFfnNorm, kDenseRules},
    .keys = dense_keys,
};

const Family kQwen3{
    .architecture = "qwen3",
    .rules = {kAttentionRules, kPostAttentionIsFfnNorm, kDenseRules},
    .keys = dense_keys,
};

const Family kQwen2Moe{
    .architecture = "qwen2moe",
    .rules = {kAttentionRules, kPostAttentionIsFfnNorm, kExpertRules},
    .keys = expert_keys,
    .needs_head = true,
};

const Family kQwen3Moe{
    .architecture = "qwen3moe",
    .rules = {kAttentionRules, kPostAttentionIsFfnNorm, kExpertRules},
    .keys = expert_keys,
};

}  // namespace snug::hf

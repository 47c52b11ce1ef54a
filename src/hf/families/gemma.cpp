// Gemma 2 and 3: norms are stored less 1.
#include "hf/family.hpp"

namespace snug::hf {
namespace {

constexpr Rule kNorms[] = {
    {"post_attention_layernorm", "post_attention_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
};

/// Gemma 2's head is always the embedding.
constexpr Rule kTied[] = {{"lm_head", "", leave_out}};

void gemma2_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
  keys.number("context_length", config.integer({"max_position_embeddings"}));
  keys.number("embedding_length", config.hidden());
  keys.number("block_count", blocks);
  keys.number("feed_forward_length", config.integer({"intermediate_size"}));
  keys.number("attention.head_count", config.heads());
  keys.number("attention.head_count_kv", config.kv_heads());
  keys.real("attention.layer_norm_rms_epsilon", config.real({"rms_norm_eps"}));
  keys.number("attention.key_length", config.head_dim());
  keys.number("attention.value_length", config.head_dim());
  keys.real("attn_logit_softcapping", config.real({"attn_logit_softcapping"}));
  keys.real("final_logit_softcapping", config.real({"final_logit_softcapping"}));
  keys.number("attention.sliding_window", config.integer({"sliding_window"}));
  if (config.rope_real("rope_theta").value_or(10000) != 10000)
    config.refuse("rope_theta is not 10000, which GGUF cannot say of this architecture");
}

/// What loaders take for granted of a model: a layer of full attention every `period`.
void check_period(const Config& config, int64_t period) {
  const std::vector<std::string> types = config.strings({"layer_types"});
  for (size_t layer = 0; layer < types.size(); ++layer)
    if ((types[layer] == "full_attention") != ((static_cast<int64_t>(layer) + 1) % period == 0))
      config.refuse("layers with full attention and with a window alternate otherwise than GGUF can say of this "
                    "architecture");
}

void checked_gemma2_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  gemma2_keys(checkpoint, blocks, keys);
  check_period(checkpoint.config, 2);
}

void gemma3_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
  add_common_keys(config, blocks, keys);
  keys.number("attention.key_length", config.head_dim());
  keys.number("attention.value_length", config.head_dim());
  if (config.real({"attn_logit_softcapping"}).value_or(0) != 0)
    config.refuse("attn_logit_softcapping is set, which GGUF cannot say of this architecture");
  const auto cap = config.real({"final_logit_softcapping"});
  if (cap && *cap != 0) keys.real("final_logit_softcapping", cap);
  if (config.integer({"sliding_window_pattern", "_sliding_window_pattern"}).value_or(6) != 1)
    keys.number("attention.sliding_window", config.integer({"sliding_window"}));
  check_period(config, 6);
}

constexpr std::string_view kNeeded =
    "attn_norm attn_q attn_k attn_v attn_output post_attention_norm ffn_norm ffn_gate ffn_up ffn_down post_ffw_norm";

}  // namespace

const Family kGemma2{
    .architecture = "gemma2",
    .rules = {kNorms, kAttentionRules, kDenseRules},
    .globals = {kTied, kGlobalRules},
    .keys = checked_gemma2_keys,
    .norms_plus_one = true,
    .needed = kNeeded,
};

const Family kGemma3{
    .architecture = "gemma3",
    .rules = {kNorms, kAttentionRules, kDenseRules},
    .keys = gemma3_keys,
    .norms_plus_one = true,
    .needed = kNeeded,
};

}  // namespace snug::hf

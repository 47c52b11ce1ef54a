// Phi 3 and 4: attention and feed-forward matrices stay fused.
#include <cmath>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/family.hpp"
#include "hf/rope.hpp"

namespace snug::hf {
namespace {

constexpr Rule kRules[] = {
    {"self_attn.qkv_proj", "attn_qkv"},
    {"mlp.gate_up_proj", "ffn_up"},
};

int64_t rotated(const Config& config) {
  return config.rotated(config.hidden(), config.rope_real("partial_rotary_factor")) / config.heads();
}

void generate(const Checkpoint& checkpoint, Output& out) {
  add_long_and_short_factors(checkpoint.config, rotated(checkpoint.config) / 2, out);
}

/// How much attention is strengthened for the longer context.
double attention_factor(const Config& config, int64_t context, int64_t original) {
  const double scale = static_cast<double>(context) / static_cast<double>(original);
  const std::string type = config.rope_type();
  if (type == "su" || type == "longrope") return rope_strength(config);
  if (scale <= 1) return 1;
  if (type == "yarn") return 0.1 * std::log(scale) + 1;
  config.refuse(str("rotary embeddings scaled by ", quoted(type), ", which is not known of this architecture"));
}

void phi3_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
  const int64_t context = config.need_integer({"n_positions", "max_position_embeddings"});
  const int64_t original = config.need_integer({"original_max_position_embeddings"});
  if (config.head_dim() != config.hidden() / config.heads())
    config.cannot_be_said("head_dim is not hidden_size / num_attention_heads, which GGUF cannot say of this architecture");
  if (const std::string type = config.rope_type();
      (type == "linear" || type == "yarn") && !config.rope().contains("long_factor"))
    config.cannot_be_said(str("rotary embeddings are scaled by ", quoted(type), ", which GGUF cannot say of this architecture"));
  keys.number("context_length", context);
  keys.number("rope.scaling.original_context_length", original);
  keys.number("embedding_length", config.hidden());
  keys.number("feed_forward_length", config.need_integer({"intermediate_size", "n_inner"}));
  keys.number("block_count", blocks);
  keys.number("attention.head_count", config.heads());
  keys.number("attention.head_count_kv", config.kv_heads());
  keys.real("attention.layer_norm_rms_epsilon", config.need_real({"rms_norm_eps"}));
  keys.number("rope.dimension_count", rotated(config));
  keys.real("rope.freq_base", config.rope_real("rope_theta"));
  keys.number("attention.sliding_window", config.integer({"sliding_window"}).value_or(0));
  if (config.rope().contains("long_factor"))
    keys.real("rope.scaling.attn_factor", attention_factor(config, context, original));
}

}  // namespace

const Family kPhi3{
    .architecture = "phi3",
    .rules = {kRules, kAttentionRules, kPostAttentionIsFfnNorm, kDenseRules},
    .keys = phi3_keys,
    .needed = "attn_norm attn_qkv attn_output ffn_norm ffn_up ffn_down",
    .generate = generate,
};

}  // namespace snug::hf

// Gemma 2 and 3: norms are stored less 1.
#include "base/str.hpp"
#include "hf/family.hpp"
#include "hf/layer_types.hpp"
#include "hf/rope.hpp"

namespace snug::hf {
namespace {

constexpr Rule kNorms[] = {
    {"post_attention_layernorm", "post_attention_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
};

/// Gemma 2's head is always the embedding.
constexpr Rule kTied[] = {{"lm_head", "", leave_out}};

/// Queries are divided by the root of the head size; in the largest models by that of the size a head would have if the
/// heads filled the embedding.
void check_query_scale(const Config& config, int64_t layers_of_largest) {
  const int64_t wanted =
      config.layers() == layers_of_largest ? config.hidden() / config.heads() : config.head_dim();
  const auto said = config.real({"query_pre_attn_scalar"});
  if (said && *said != static_cast<double>(wanted))
    config.cannot_be_said(str("query_pre_attn_scalar is ", *said, ", which GGUF's loaders of this architecture take for ", wanted));
}

/// Loaders cap scores and logits, and at usual values where the file says none.
double need_cap(const Config& config, std::string_view name) {
  const double cap = config.real({name}).value_or(0);
  if (!(cap > 0)) config.cannot_be_said(str(name, " is not set, which GGUF cannot say of this architecture"));
  return cap;
}

/// What the converter leaves to loaders' defaults is said where it is something else.
void add_unusual_rope(const Config& config, Keys& keys) {
  if (const double base = config.rope_real("rope_theta").value_or(10000); base != 10000) keys.real("rope.freq_base", base);
  add_rope_scaling(config, keys);
}

void gemma2_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
  check_query_scale(config, 46);
  keys.number("context_length", config.integer({"max_position_embeddings"}));
  keys.number("embedding_length", config.hidden());
  keys.number("block_count", blocks);
  keys.number("feed_forward_length", config.integer({"intermediate_size"}));
  keys.number("attention.head_count", config.heads());
  keys.number("attention.head_count_kv", config.kv_heads());
  keys.real("attention.layer_norm_rms_epsilon", config.real({"rms_norm_eps"}));
  keys.number("attention.key_length", config.head_dim());
  keys.number("attention.value_length", config.head_dim());
  keys.real("attn_logit_softcapping", need_cap(config, "attn_logit_softcapping"));
  keys.real("final_logit_softcapping", need_cap(config, "final_logit_softcapping"));
  keys.number("attention.sliding_window", config.need_integer({"sliding_window"}));
  add_window_period(config, 2, 2, keys);
  add_unusual_rope(config, keys);
}

void gemma3_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
  check_query_scale(config, 62);
  add_common_keys(config, blocks, keys);
  keys.number("attention.key_length", config.head_dim());
  keys.number("attention.value_length", config.head_dim());
  if (config.real({"attn_logit_softcapping"}).value_or(0) != 0)
    config.cannot_be_said("attn_logit_softcapping is set, which GGUF cannot say of this architecture");
  const auto cap = config.real({"final_logit_softcapping"});
  if (cap && *cap != 0) keys.real("final_logit_softcapping", cap);
  const int64_t said = config.integer({"sliding_window_pattern", "_sliding_window_pattern"}).value_or(6);
  if (said != 1) keys.number("attention.sliding_window", config.integer({"sliding_window"}));
  add_window_period(config, 6, said, keys);
}

constexpr std::string_view kNeeded =
    "attn_norm attn_q attn_k attn_v attn_output post_attention_norm ffn_norm ffn_gate ffn_up ffn_down post_ffw_norm";

}  // namespace

const Family kGemma2{
    .architecture = "gemma2",
    .rules = {kNorms, kAttentionRules, kDenseRules},
    .globals = {kTied, kGlobalRules},
    .keys = gemma2_keys,
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

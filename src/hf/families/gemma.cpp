// Gemma 2 and 3: norms are stored less 1.
#include <cmath>

#include "base/str.hpp"
#include "hf/family.hpp"
#include "hf/gemma_scales.hpp"
#include "hf/layer_types.hpp"
#include "hf/rope.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

constexpr Rule kNorms[] = {
    {"post_attention_layernorm", "post_attention_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
};

/// Gemma 2's head is always the embedding.
constexpr Rule kTied[] = {{"lm_head", "", leave_out}};

/// What loaders leave undone of the model's own scaling of queries.
float query_factor(const Config& config) {
  const double wanted = static_cast<double>(gemma_query_divisor(config));
  const double said = config.real({"query_pre_attn_scalar"}).value_or(wanted);
  if (!(said > 0)) config.refuse(str("query_pre_attn_scalar is ", said));
  return static_cast<float>(std::sqrt(wanted / said));
}

/// Queries come out scaled where their weights are.
void add_queries(const Piece& piece, Output& out) {
  const float factor = query_factor(piece.config());
  out.add(piece.name(), factor == 1 ? piece.weights() : changed(piece.weights(), [factor](std::span<float> values) {
    for (float& value : values) value *= factor;
  }));
}

/// Those of Gemma 3 are normed before they are compared, so that their norm says the scale.
void add_query_norm(const Piece& piece, Output& out) {
  const float factor = query_factor(piece.config());
  out.add(piece.name(), changed(piece.weights(), [factor](std::span<float> values) {
    for (float& value : values) value = (value + 1) * factor;
  }));
}

constexpr Rule kQueries[] = {{"self_attn.q_proj", "attn_q", add_queries}};
constexpr Rule kQueryNorm[] = {{"self_attn.q_norm", "attn_q_norm", add_query_norm}};

/// Loaders cap scores and logits, and at usual values where the file says none.
double cap_or_none(const Config& config, const char* name) {
  const double cap = config.real({name}).value_or(kNoCap);
  if (!(cap > 0)) config.refuse(str(name, " is ", cap));
  return cap;
}

/// What the converter leaves to loaders' defaults is said where it is something else.
void add_unusual_rope(const Config& config, Keys& keys) {
  if (const double base = config.rope_real("rope_theta").value_or(10000); base != 10000) keys.real("rope.freq_base", base);
  add_rope_scaling(config, keys);
}

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
  keys.real("attn_logit_softcapping", cap_or_none(config, "attn_logit_softcapping"));
  keys.real("final_logit_softcapping", cap_or_none(config, "final_logit_softcapping"));
  keys.number("attention.sliding_window", config.need_integer({"sliding_window"}));
  add_window_period(config, 2, 2, keys);
  add_unusual_rope(config, keys);
}

void gemma3_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
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

/// Its query norm may say a scale, so it must be there.
constexpr std::string_view kNeededOfThird =
    "attn_norm attn_q attn_q_norm attn_k attn_k_norm attn_v attn_output post_attention_norm ffn_norm ffn_gate ffn_up ffn_down "
    "post_ffw_norm";

}  // namespace

int64_t gemma_query_divisor(const Config& config) {
  const int64_t layers_of_largest = config.model_type() == "gemma2" ? 46 : 62;
  return config.layers() == layers_of_largest ? config.hidden() / config.heads() : config.head_dim();
}

const Family kGemma2{
    .architecture = "gemma2",
    .rules = {kNorms, kQueries, kAttentionRules, kDenseRules},
    .globals = {kTied, kGlobalRules},
    .keys = gemma2_keys,
    .norms_plus_one = true,
    .needed = kNeeded,
};

const Family kGemma3{
    .architecture = "gemma3",
    .rules = {kNorms, kQueryNorm, kAttentionRules, kDenseRules},
    .keys = gemma3_keys,
    .norms_plus_one = true,
    .needed = kNeededOfThird,
};

}  // namespace snug::hf

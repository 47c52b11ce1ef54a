// DeepSeek V2 and V3, R1, Kimi K2: latent attention, whose second matrix is split and half of it transposed.
#include <cmath>

#include "hf/family.hpp"
#include "hf/rope.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

int64_t latent(const Config& config) { return config.integer({"kv_lora_rank"}).value_or(512); }
int64_t rotated(const Config& config) { return config.need_integer({"qk_rope_head_dim"}); }

/// Per head first the rows of the keys, [dim, latent], then those of the values.
void split_kv(const Piece& piece, Output& out) {
  const Config& config = piece.config();
  const int64_t heads = config.kv_heads(), keys = config.need_integer({"qk_nope_head_dim"});
  const int64_t values = config.need_integer({"v_head_dim"}), both = keys + values;
  piece.need_shape({heads * both, latent(config)});
  std::vector<int64_t> key_rows, value_rows;
  for (int64_t head = 0; head < heads; ++head) {
    key_rows.push_back(head * both);
    value_rows.push_back(head * both + keys);
  }
  const Tensor& from = piece.weights();
  const Tensor k = reshaped(selected(from, keys, std::move(key_rows)), {from.cols(), keys, heads});
  out.add(piece.name(0), transposed(k));
  out.add(piece.name(1), reshaped(selected(from, values, std::move(value_rows)), {from.cols(), values, heads}));
}

/// Loaders rotate neighbouring pairs, as the classes do; that of V3 not where rope_interleave is false.
void add_rotated(const Piece& piece, int64_t heads, Output& out) {
  const Config& config = piece.config();
  const bool halves = config.model_type() != "deepseek_v2" && config.flag({"rope_interleave"}) == false;
  out.add(piece.name(), halves ? paired_rows(piece, heads, rotated(config)) : piece.weights());
}

void add_queries(const Piece& piece, Output& out) { add_rotated(piece, piece.config().heads(), out); }
void add_latent_and_key(const Piece& piece, Output& out) { add_rotated(piece, 1, out); }

/// The head is the embedding where the configuration says so, even where a copy is stored.
void add_head(const Piece& piece, Output& out) {
  if (!piece.config().flag({"tie_word_embeddings"}).value_or(false)) out.add(piece.name(), piece.weights());
}

constexpr Rule kHead[] = {{"lm_head", "output", add_head}};

constexpr Rule kRules[] = {
    {"self_attn.q_a_proj", "attn_q_a"},
    {"self_attn.q_a_layernorm", "attn_q_a_norm"},
    {"self_attn.q_proj", "attn_q", add_queries},
    {"self_attn.q_b_proj", "attn_q_b", add_queries},
    {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa", add_latent_and_key},
    {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    {"self_attn.kv_b_proj", "attn_k_b attn_v_b", split_kv},
    {"self_attn.embed_q", "attn_k_b"},  // MLX has split it already
    {"self_attn.unembed_out", "attn_v_b"},
    {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},
};

void add_experts(const Config& config, Keys& keys) {
  const auto experts = config.integer({"n_routed_experts"});
  keys.number("leading_dense_block_count",
              config.integer({"first_k_dense_replace"}).value_or(experts ? 0 : config.layers()));
  keys.number("expert_feed_forward_length", config.integer({"moe_intermediate_size", "intermediate_size"}));
  keys.number("expert_count", experts);
  keys.number("expert_shared_count", config.integer({"n_shared_experts"}).value_or(0));
  keys.real("expert_weights_scale", config.real({"routed_scaling_factor"}));
  if (config.flag({"norm_topk_prob"}).value_or(false)) keys.flag("expert_weights_norm", true);
}

/// Loaders multiply sines and cosines with A and the scores with the square of A (1 + m log), log = ln(factor) / 10,
/// where A and m are what these two keys say; published models have A = 1 and m = mscale_all_dim.
void add_yarn_strength(const Config& config, Keys& keys) {
  const double factor = context_factor(config), all = config.rope_real("mscale_all_dim").value_or(0);
  const double strength = rope_strength(config), log = 0.1 * std::log(factor);
  if (!(log > 0)) return;
  const double of_scores = all == 0 ? 1 : yarn_strength(factor, all);
  if (strength == 1 && all != 0) return keys.real("rope.scaling.yarn_log_multiplier", 0.1 * all);
  if (std::abs(of_scores - strength) < 1e-9) {  // m = 0, and loaders multiply with 1 + log besides
    keys.real("rope.scaling.yarn_log_multiplier", 0);
    return correct_strength(config, yarn_strength(factor, 1), keys);
  }
  keys.real("rope.scaling.yarn_log_multiplier", 0.1 * (of_scores / strength - 1) / log);
  correct_strength(config, 1, keys);
}

/// Linear scaling: loaders multiply the scores with the square of (1 + log) (1 + m log) all the same.
void add_linear_strength(const Config& config, Keys& keys) {
  const double factor = context_factor(config), all = config.rope_real("mscale_all_dim").value_or(0);
  const double log = 0.1 * std::log(factor), of_scores = all == 0 ? 1 : yarn_strength(factor, all);
  if (log > 0) keys.real("rope.scaling.yarn_log_multiplier", 0.1 * (of_scores / (1 + log) - 1) / log);
}

void add_strength(const Config& config, Keys& keys) {
  const std::string type = config.rope_type();
  const auto all = config.rope_real("mscale_all_dim");
  if (type == "yarn") return add_yarn_strength(config, keys);
  if (type == "linear") return add_linear_strength(config, keys);
  if (type != "default" && all.value_or(0) != 0)
    config.cannot_be_said("mscale_all_dim without yarn or linear scaling, which GGUF cannot say");
  if (all) keys.real("rope.scaling.yarn_log_multiplier", 0.1 * *all);
}

/// DeepSeek V2 goes by the best expert of a group, loaders by the best two; and without groups where it says so.
void check_groups(const Checkpoint& checkpoint, Keys& keys) {
  const Config& config = checkpoint.config;
  if (config.model_type() != "deepseek_v2" || config.integer({"n_group"}).value_or(1) <= 1) return;
  if (config.string({"topk_method"}) != "group_limited_greedy") {
    keys.number("expert_group_count", 1);
    keys.number("expert_group_used_count", 1);
  } else if (config.integer({"topk_group"}) != config.integer({"n_group"})) {
    checkpoint.remarks.push_back("groups of experts are chosen by their best expert, which GGUF cannot say: its loaders "
                                 "go by the best two, and some tokens go to other experts");
  }
}

void deepseek2_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
  add_common_keys(config, blocks, keys);
  keys.number("attention.head_count_kv", 1);
  keys.number("vocab_size", config.integer({"vocab_size"}));
  keys.number("attention.q_lora_rank", config.integer({"q_lora_rank"}));
  keys.number("attention.kv_lora_rank", latent(config));
  keys.number("attention.key_length", latent(config) + rotated(config));
  keys.number("attention.value_length", latent(config));
  keys.number("attention.key_length_mla", config.need_integer({"qk_nope_head_dim"}) + rotated(config));
  keys.number("attention.value_length_mla", config.need_integer({"v_head_dim"}));
  keys.number("rope.dimension_count", rotated(config));
  add_strength(config, keys);
  add_experts(config, keys);
  check_groups(checkpoint, keys);
}

}  // namespace

const Family kDeepseek2{
    .architecture = "deepseek2",
    .rules = {kRules, kAttentionRules, kPostAttentionIsFfnNorm, kExpertRules, kDenseRules},
    .globals = {kHead, kGlobalRules},
    .keys = deepseek2_keys,
    .needed = "attn_norm attn_kv_a_mqa attn_kv_a_norm attn_k_b attn_v_b attn_output ffn_norm",
};

}  // namespace snug::hf

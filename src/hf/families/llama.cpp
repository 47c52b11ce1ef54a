// Llama, Mistral, Mixtral and Mistral Small: rotary pairs are neighbours in GGUF, halves of a head in the checkpoint.
#include <cmath>
#include <numbers>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/family.hpp"
#include "hf/rope.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

void add_query(const Piece& piece, Output& out) {
  out.add(piece.name(), paired_rows(piece, piece.config().heads()));
}

void add_key(const Piece& piece, Output& out) {
  out.add(piece.name(), paired_rows(piece, piece.config().kv_heads()));
}

constexpr Rule kRules[] = {
    {"self_attn.q_proj", "attn_q", add_query},
    {"self_attn.k_proj", "attn_k", add_key},
    {"block_sparse_moe.gate", "ffn_gate_inp"},
    {"block_sparse_moe.experts.#.w1", "ffn_gate_exps", add_expert},
    {"block_sparse_moe.experts.#.w2", "ffn_down_exps", add_expert},
    {"block_sparse_moe.experts.#.w3", "ffn_up_exps", add_expert},
    {"block_sparse_moe.switch_mlp.gate_proj", "ffn_gate_exps"},
    {"block_sparse_moe.switch_mlp.down_proj", "ffn_down_exps"},
    {"block_sparse_moe.switch_mlp.up_proj", "ffn_up_exps"},
};

/// Divisors of the frequencies, one for every rotated pair: long waves are stretched, short ones are not.
std::vector<float> llama3_factors(const Config& config) {
  const auto value = [&](const char* key, double fallback) { return config.rope_real(key).value_or(fallback); };
  const double factor = value("factor", 8), low = value("low_freq_factor", 1), high = value("high_freq_factor", 4);
  const double original = value("original_max_position_embeddings", 8192), base = value("rope_theta", 10000);
  const auto dim = static_cast<int64_t>(config.head_dim());
  std::vector<float> factors;
  for (int64_t i = 0; i < dim; i += 2) {
    const double wave = 2 * std::numbers::pi * std::pow(base, static_cast<double>(i) / static_cast<double>(dim));
    const double smooth = (original / wave - low) / (high - low);
    const bool is_short = wave < original / high, is_long = wave > original / low;
    factors.push_back(static_cast<float>(is_short ? 1 : is_long ? factor : 1 / ((1 - smooth) / factor + smooth)));
  }
  return factors;
}

void generate(const Checkpoint& checkpoint, Output& out) {
  const Config& config = checkpoint.config;
  if (config.rope_type() == "llama3")
    out.add("rope_freqs.weight", tensor_of(llama3_factors(config), config.where()));
  add_long_and_short_factors(config, config.head_dim() / 2, out);
}

void llama_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
  add_common_keys(config, blocks, keys);
  keys.number("vocab_size", config.integer({"vocab_size"}));
  keys.number("rope.dimension_count", config.head_dim());
}

/// Loaders divide YaRN's strength by that of mscale_all_dim.
void correct_yarn(const Config& config, double all, Keys& keys) {
  const double factor = context_factor(config);
  correct_strength(config, yarn_strength(factor, 1) / (all == 0 ? 1 : yarn_strength(factor, all)), keys);
}

void mistral3_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  llama_keys(checkpoint, blocks, keys);
  const Config& config = checkpoint.config;
  const bool third = config.model_type() == "ministral3";
  if (config.rope_type() == "yarn")
    correct_yarn(config, third ? config.rope_real("mscale_all_dim").value_or(0) : 0, keys);
  if (!third) return;
  if (config.rope_type() != "yarn") config.cannot_be_said("a ministral3 model without yarn scaling, which GGUF cannot say");
  keys.real("rope.scaling.yarn_log_multiplier", config.rope_real("mscale_all_dim"));
  keys.real("attention.temperature_scale", config.rope_real("llama_4_scaling_beta"));
}

}  // namespace

const Family kLlama{
    .architecture = "llama",
    .rules = {kRules, kAttentionRules, kPostAttentionIsFfnNorm, kDenseRules},
    .keys = llama_keys,
    .generate = generate,
};

const Family kMistral3{
    .architecture = "mistral3",
    .rules = {kRules, kAttentionRules, kPostAttentionIsFfnNorm, kDenseRules},
    .keys = mistral3_keys,
    .generate = generate,
};

}  // namespace snug::hf

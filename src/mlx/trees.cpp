#include "mlx/trees.hpp"

#include <algorithm>
#include <string>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::mlx {
namespace {

using enum Kind;

constexpr Row kGlobal[] = {
    {"token_embd", "embed_tokens", embedding},
    {"rope_freqs", "", unused},
    {"rope_factors_long", "", unused},
    {"rope_factors_short", "", unused},
    {"output_norm", "norm", norm},
    {"output", "lm_head", head},
};

constexpr Row kAttention[] = {
    {"attn_norm", "input_layernorm", norm},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm", norm},
    {"attn_k_norm", "self_attn.k_norm", norm},
};

constexpr Row kPairedAttention[] = {
    {"attn_norm", "input_layernorm", norm},
    {.from = "attn_q", .to = "self_attn.q_proj", .order = Order::query_pairs},
    {.from = "attn_k", .to = "self_attn.k_proj", .order = Order::key_pairs},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
};

constexpr Row kFusedAttention[] = {
    {"attn_norm", "input_layernorm", norm},
    {"attn_qkv", "self_attn.qkv_proj"},
    {"attn_output", "self_attn.o_proj"},
};

constexpr Row kFfnNorm[] = {{"ffn_norm", "post_attention_layernorm", norm}};

constexpr Row kDense[] = {
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

constexpr Row kFusedDense[] = {
    {"ffn_up", "mlp.gate_up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

constexpr Row kExperts[] = {
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_exps", "mlp.switch_mlp.gate_proj", experts},
    {"ffn_up_exps", "mlp.switch_mlp.up_proj", experts},
    {"ffn_down_exps", "mlp.switch_mlp.down_proj", experts},
    {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    {"ffn_down_shexp", "mlp.shared_expert.down_proj"},
    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
};

constexpr Row kMixtralExperts[] = {
    {"ffn_gate_inp", "block_sparse_moe.gate"},
    {"ffn_gate_exps", "block_sparse_moe.switch_mlp.gate_proj", experts},
    {"ffn_up_exps", "block_sparse_moe.switch_mlp.up_proj", experts},
    {"ffn_down_exps", "block_sparse_moe.switch_mlp.down_proj", experts},
};

constexpr Row kGptOss[] = {
    {"attn_sinks", "self_attn.sinks", parameter},
    {"post_attention_norm", "post_attention_layernorm", norm},
    {"ffn_gate_inp", "mlp.router"},
    {"ffn_gate_exps", "mlp.experts.gate_proj", experts},
    {"ffn_up_exps", "mlp.experts.up_proj", experts},
    {"ffn_down_exps", "mlp.experts.down_proj", experts},
};

constexpr Row kGemmaNorms[] = {
    {"post_attention_norm", "post_attention_layernorm", norm},
    {"ffn_norm", "pre_feedforward_layernorm", norm},
    {"post_ffw_norm", "post_feedforward_layernorm", norm},
};

constexpr Row kGemma4Globals[] = {
    {"per_layer_token_embd", "embed_tokens_per_layer", embedding},
    {"per_layer_model_proj", "per_layer_model_projection"},
    {"per_layer_proj_norm", "per_layer_projection_norm", plain},
};

constexpr Row kGemma4[] = {
    {"post_ffw_norm_1", "post_feedforward_layernorm_1", norm},
    {"pre_ffw_norm_2", "pre_feedforward_layernorm_2", norm},
    {"post_ffw_norm_2", "post_feedforward_layernorm_2", norm},
    {.from = "ffn_gate_inp", .to = "router.proj", .suffix = ".weight"},
    {.from = "ffn_gate_inp", .to = "router.scale", .kind = parameter, .suffix = ".scale"},
    {.from = "ffn_down_exps", .to = "router.per_expert_scale", .kind = parameter, .suffix = ".scale"},
    {.from = "ffn_gate_up_exps", .to = "experts.switch_glu.gate_proj", .kind = experts, .part = 0, .parts = 2},
    {.from = "ffn_gate_up_exps", .to = "experts.switch_glu.up_proj", .kind = experts, .part = 1, .parts = 2},
    {"ffn_gate_exps", "experts.switch_glu.gate_proj", experts},
    {"ffn_up_exps", "experts.switch_glu.up_proj", experts},
    {.from = "ffn_down_exps", .to = "experts.switch_glu.down_proj", .kind = experts, .suffix = ".weight"},
    {"inp_gate", "per_layer_input_gate"},
    {"proj", "per_layer_projection"},
    {"post_norm", "post_per_layer_input_norm", norm},
    {"layer_output_scale", "layer_scalar", parameter},
};

/// With a bias of its choice, of which the router's matrix is no module.
constexpr Row kBiasedExperts[] = {
    {"ffn_gate_inp", "mlp.gate", plain},
    {"exp_probs_b", "mlp.gate.e_score_correction_bias", exact},
    {"ffn_gate_exps", "mlp.switch_mlp.gate_proj", experts},
    {"ffn_up_exps", "mlp.switch_mlp.up_proj", experts},
    {"ffn_down_exps", "mlp.switch_mlp.down_proj", experts},
    {"ffn_gate_shexp", "mlp.shared_experts.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_experts.up_proj"},
    {"ffn_down_shexp", "mlp.shared_experts.down_proj"},
};

constexpr Row kPostAttention[] = {{"post_attention_norm", "post_attention_layernorm", norm}};

constexpr Row kLatentAttention[] = {
    {"attn_norm", "input_layernorm", norm},
    {"attn_q", "self_attn.q_proj"},
    {"attn_q_a", "self_attn.q_a_proj"},
    {"attn_q_a_norm", "self_attn.q_a_layernorm", norm},
    {"attn_q_b", "self_attn.q_b_proj"},
    {"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    {"attn_kv_a_norm", "self_attn.kv_a_layernorm", norm},
    {"attn_output", "self_attn.o_proj"},
};

/// Both halves make one matrix, the keys' columns its rows: quantized codes of theirs would not fit.
constexpr Row kJoinedKeysAndValues[] = {
    {.from = "attn_k_b", .to = "self_attn.kv_b_proj", .kind = plain, .order = Order::mla_keys},
    {.from = "attn_v_b", .to = "self_attn.kv_b_proj", .kind = plain, .order = Order::mla_values},
    {"attn_kv_b", "self_attn.kv_b_proj"},
};

constexpr Row kSplitKeysAndValues[] = {
    {"attn_k_b", "self_attn.embed_q", experts},
    {"attn_v_b", "self_attn.unembed_out", experts},
};

constexpr Row kDeltaNet[] = {
    {.from = "ssm_norm", .to = "linear_attn.norm", .kind = plain},
    {.from = "attn_qkv", .to = "linear_attn.in_proj_qkv", .order = Order::delta_qkv},
    {.from = "attn_gate", .to = "linear_attn.in_proj_z", .order = Order::delta_values},
    {.from = "ssm_beta", .to = "linear_attn.in_proj_b", .order = Order::delta_heads},
    {.from = "ssm_alpha", .to = "linear_attn.in_proj_a", .order = Order::delta_heads},
    {.from = "ssm_conv1d", .to = "linear_attn.conv1d", .kind = taps, .order = Order::delta_qkv},
    {.from = "ssm_dt", .to = "linear_attn.dt_bias", .kind = parameter, .order = Order::delta_heads},
    {.from = "ssm_a", .to = "linear_attn.A_log", .kind = decay, .order = Order::delta_heads},
    {.from = "ssm_out", .to = "linear_attn.out_proj", .reads_values = true},
};

constexpr Row kNextDeltaNet[] = {
    {.from = "ssm_norm", .to = "linear_attn.norm", .kind = plain},
    {.from = "attn_qkv", .to = "linear_attn.in_proj_qkvz", .order = Order::next_qkv},
    {.from = "attn_gate", .to = "linear_attn.in_proj_qkvz", .order = Order::next_z},
    {"ssm_ba", "linear_attn.in_proj_ba"},
    {"ssm_conv1d", "linear_attn.conv1d", taps},
    {"ssm_dt", "linear_attn.dt_bias", parameter},
    {"ssm_a", "linear_attn.A_log", decay},
    {"ssm_out", "linear_attn.out_proj"},
};

const Tree kTrees[] = {
    {"llama", {kPairedAttention, kFfnNorm, kDense, kMixtralExperts}, {kGlobal}},
    {"mistral3", {kPairedAttention, kFfnNorm, kDense}, {kGlobal}},
    {"qwen2", {kAttention, kFfnNorm, kDense}, {kGlobal}},
    {"qwen3", {kAttention, kFfnNorm, kDense}, {kGlobal}},
    {"qwen2moe", {kAttention, kFfnNorm, kExperts}, {kGlobal}},
    {"qwen3moe", {kAttention, kFfnNorm, kExperts}, {kGlobal}},
    {"gemma2", {kAttention, kGemmaNorms, kDense}, {kGlobal}, true},
    {"gemma3", {kAttention, kGemmaNorms, kDense}, {kGlobal}, true},
    {"gemma4", {kAttention, kGemmaNorms, kDense, kGemma4}, {kGlobal, kGemma4Globals}},
    {"phi3", {kFusedAttention, kFfnNorm, kFusedDense}, {kGlobal}},
    {"gpt-oss", {kAttention, kGptOss}, {kGlobal}},
    {"qwen3next", {kAttention, kNextDeltaNet, kPostAttention, kDense, kExperts}, {kGlobal}},
    {.architecture = "qwen35", .rows = {kAttention, kDeltaNet, kPostAttention, kDense}, .globals = {kGlobal}, .wrapped = true},
    {.architecture = "qwen35moe",
     .rows = {kAttention, kDeltaNet, kPostAttention, kExperts},
     .globals = {kGlobal},
     .wrapped = true},
    {.architecture = "glm4moe",
     .rows = {kAttention, kPostAttention, kDense, kBiasedExperts},
     .globals = {kGlobal},
     .own_head = true},
    {.architecture = "deepseek2",
     .rows = {kLatentAttention, kJoinedKeysAndValues, kFfnNorm, kDense, kBiasedExperts},
     .globals = {kGlobal},
     .own_head = true},
    {.architecture = "deepseek_v3",
     .rows = {kLatentAttention, kSplitKeysAndValues, kFfnNorm, kDense, kBiasedExperts},
     .globals = {kGlobal},
     .own_head = true},
};

}  // namespace

const Tree* find_tree(std::string_view architecture) {
  const auto* const found = std::ranges::find(kTrees, architecture, &Tree::architecture);
  return found == std::end(kTrees) ? nullptr : found;
}

/// GGUF has one architecture of DeepSeek's models; the experts of the later ones are chosen with a bias.
std::string_view class_of(const ModelSource& model) {
  const std::string_view architecture = model.metadata().text("general.architecture").value_or("");
  if (architecture != "deepseek2") return architecture;
  const bool biased = std::ranges::any_of(model.tensors(), [](const Tensor& t) { return t.name.ends_with("exp_probs_b.bias"); });
  return biased ? "deepseek_v3" : architecture;
}

const Tree& tree_of(const ModelSource& model) {
  const std::string_view architecture = class_of(model);
  if (const Tree* tree = find_tree(architecture)) return *tree;
  std::string known;
  for (const Tree& tree : kTrees) known += str(known.empty() ? "" : ", ", tree.architecture);
  throw Error{str("snug does not know what MLX calls the tensors of the architecture '", printable(architecture), "'"),
              model.path().string(), str("known are ", known)};
}

}  // namespace snug::mlx

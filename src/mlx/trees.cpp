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
    {.from = "attn_q", .to = "self_attn.q_proj", .pairs = Pairs::query},
    {.from = "attn_k", .to = "self_attn.k_proj", .pairs = Pairs::key},
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
};

}  // namespace

const Tree* find_tree(std::string_view architecture) {
  const auto* const found = std::ranges::find(kTrees, architecture, &Tree::architecture);
  return found == std::end(kTrees) ? nullptr : found;
}

const Tree& tree_of(const ModelSource& model) {
  const std::string_view architecture = model.metadata().text("general.architecture").value_or("");
  if (const Tree* tree = find_tree(architecture)) return *tree;
  std::string known;
  for (const Tree& tree : kTrees) known += str(known.empty() ? "" : ", ", tree.architecture);
  throw Error{str("snug does not know what MLX calls the tensors of the architecture '", printable(architecture), "'"),
              model.path().string(), str("known are ", known)};
}

}  // namespace snug::mlx

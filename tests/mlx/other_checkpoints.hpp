#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/str.hpp"
#include "hf/tiny_checkpoint.hpp"
#include "mlx/wide_checkpoint.hpp"

// Small checkpoints of architectures whose tensors lie in another order in MLX than in GGUF.
namespace snug::test {

inline TinyCheckpoint& add_experts(TinyCheckpoint& model, const std::string& layer, int experts, const std::string& shared) {
  model.add(layer + "mlp.gate.weight", {experts, 64});
  for (int e = 0; e < experts; ++e) {
    const std::string expert = layer + "mlp.experts." + std::to_string(e) + ".";
    model.add(expert + "gate_proj.weight", {32, 64}).add(expert + "up_proj.weight", {32, 64});
    model.add(expert + "down_proj.weight", {64, 32});
  }
  model.add(layer + shared + ".gate_proj.weight", {32, 64}).add(layer + shared + ".up_proj.weight", {32, 64});
  return model.add(layer + shared + ".down_proj.weight", {64, 32});
}

inline TinyCheckpoint& add_network(TinyCheckpoint& model, const std::string& layer) {
  model.add(layer + "mlp.gate_proj.weight", {96, 64}).add(layer + "mlp.up_proj.weight", {96, 64});
  return model.add(layer + "mlp.down_proj.weight", {64, 96});
}

inline TinyCheckpoint& add_ends(TinyCheckpoint& model) {
  return model.add("model.embed_tokens.weight", {40, 64}).add("model.norm.weight", {64}).add("lm_head.weight", {40, 64});
}

inline const std::string kWidths = R"("vocab_size":40,"hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,
    "num_attention_heads":2,"moe_intermediate_size":32,"num_experts_per_tok":2)";
inline const std::string kDeltaHeads = R"("head_dim":32,"num_key_value_heads":1,"full_attention_interval":2,"linear_conv_kernel_dim":4,
    "linear_key_head_dim":16,"linear_num_key_heads":2,"linear_num_value_heads":4,"linear_value_head_dim":32,
    "rope_parameters":{"rope_type":"default","rope_theta":10000.0,"partial_rotary_factor":0.25})";

/// Two key heads of 16 that serve two value heads of 32 each; every second layer has full attention.
inline TinyCheckpoint& add_delta_layers(TinyCheckpoint& model) {
  const std::string net = "model.layers.0.linear_attn.", full = "model.layers.1.self_attn.";
  model.add(net + "conv1d.weight", {192, 1, 4}).add(net + "dt_bias", {4}).add(net + "norm.weight", {32});
  model.add_values(net + "A_log", {4}, {0.5f, 1, 1.5f, 2}, Dtype::f32).add(net + "out_proj.weight", {64, 128});
  model.add(full + "q_proj.weight", {128, 64}).add(full + "k_proj.weight", {32, 64}).add(full + "v_proj.weight", {32, 64});
  model.add(full + "o_proj.weight", {64, 64}).add(full + "q_norm.weight", {32}).add(full + "k_norm.weight", {32});
  for (const std::string layer : {"model.layers.0.", "model.layers.1."})
    model.add(layer + "input_layernorm.weight", {64}).add(layer + "post_attention_layernorm.weight", {64});
  return add_ends(model);
}

inline TinyCheckpoint wide_qwen3next() {
  TinyCheckpoint model{R"({"architectures":["Qwen3NextForCausalLM"],"model_type":"qwen3_next","num_experts":3,
    "shared_expert_intermediate_size":32,"norm_topk_prob":true,)" + kWidths + "," + kDeltaHeads + "}"};
  add_delta_layers(model);
  model.add("model.layers.0.linear_attn.in_proj_qkvz.weight", {320, 64});
  model.add("model.layers.0.linear_attn.in_proj_ba.weight", {8, 64});
  for (const std::string layer : {"model.layers.0.", "model.layers.1."})
    add_experts(model, layer, 3, "mlp.shared_expert").add(layer + "mlp.shared_expert_gate.weight", {1, 64});
  return model;
}

inline TinyCheckpoint wide_qwen35() {
  TinyCheckpoint model{R"({"architectures":["Qwen3_5ForCausalLM"],"model_type":"qwen3_5_text",)" + kWidths + "," + kDeltaHeads + "}"};
  add_delta_layers(model);
  const std::string net = "model.layers.0.linear_attn.";
  model.add(net + "in_proj_qkv.weight", {192, 64}).add(net + "in_proj_z.weight", {128, 64});
  model.add(net + "in_proj_a.weight", {4, 64}).add(net + "in_proj_b.weight", {4, 64});
  return add_network(add_network(model, "model.layers.0."), "model.layers.1.");
}

inline TinyCheckpoint wide_glm4moe() {
  TinyCheckpoint model{R"({"architectures":["Glm4MoeForCausalLM"],"model_type":"glm4_moe","n_routed_experts":3,
    "n_shared_experts":1,"first_k_dense_replace":1,"head_dim":32,"num_key_value_heads":1,"attention_bias":true,"use_qk_norm":true,)" + kWidths + "}"};
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    model.add(layer + "input_layernorm.weight", {64}).add(layer + "post_attention_layernorm.weight", {64});
    model.add(layer + "self_attn.q_proj.weight", {64, 64}).add(layer + "self_attn.q_proj.bias", {64});
    model.add(layer + "self_attn.k_proj.weight", {32, 64}).add(layer + "self_attn.v_proj.weight", {32, 64});
    model.add(layer + "self_attn.q_norm.weight", {32}).add(layer + "self_attn.k_norm.weight", {32});
    model.add(layer + "self_attn.o_proj.weight", {64, 64});
  }
  add_network(model, "model.layers.0.");
  add_experts(model, "model.layers.1.", 3, "mlp.shared_experts");
  model.add_values("model.layers.1.mlp.gate.e_score_correction_bias", {3}, {0.1f, 0.2f, 0.3f}, Dtype::f32);
  return add_ends(model);
}

/// Two heads of 32 plain and 16 rotated numbers of keys and 32 of values, over a latent of 64.
inline TinyCheckpoint wide_deepseek(bool is_v3) {
  TinyCheckpoint model{str(R"({"architectures":["Deepseek)", is_v3 ? "V3" : "V2", R"(ForCausalLM"],"model_type":"deepseek_)", is_v3 ? "v3" : "v2",
                           R"(","n_routed_experts":3,"n_shared_experts":1,"first_k_dense_replace":1,"kv_lora_rank":64,"q_lora_rank":32,
    "qk_nope_head_dim":32,"qk_rope_head_dim":16,"v_head_dim":32,"num_key_value_heads":2,"n_group":1,"topk_group":1,"topk_method":")", is_v3 ? "noaux_tc" : "greedy", "\",", kWidths, "}")};
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    model.add(layer + "input_layernorm.weight", {64}).add(layer + "post_attention_layernorm.weight", {64});
    model.add(layer + "self_attn.q_a_proj.weight", {32, 64}).add(layer + "self_attn.q_a_layernorm.weight", {32});
    model.add(layer + "self_attn.q_b_proj.weight", {96, 32}).add(layer + "self_attn.kv_a_layernorm.weight", {64});
    model.add(layer + "self_attn.kv_a_proj_with_mqa.weight", {80, 64}).add(layer + "self_attn.kv_b_proj.weight", {128, 64});
    model.add(layer + "self_attn.o_proj.weight", {64, 64});
  }
  add_network(model, "model.layers.0.");
  add_experts(model, "model.layers.1.", 3, "mlp.shared_experts");
  if (is_v3) model.add_values("model.layers.1.mlp.gate.e_score_correction_bias", {3}, {0.1f, 0.2f, 0.3f}, Dtype::f32);
  return add_ends(model);
}

/// One of each kind of module tree; `wrapped`: Gemma 3 within a model that sees images.
inline std::vector<std::pair<const char*, TinyCheckpoint>> wide_models(bool wrapped) {
  return {{"llama", wide_llama()},
          {"gemma 3", wide_gemma3(wrapped)},
          {"qwen 3 moe", wide_qwen3moe()},
          {"qwen 3 next", wide_qwen3next()},
          {"qwen 3.5", wide_qwen35()},
          {"glm 4 moe", wide_glm4moe()},
          {"deepseek 2", wide_deepseek(false)},
          {"deepseek 3", wide_deepseek(true)}};
}

}  // namespace snug::test

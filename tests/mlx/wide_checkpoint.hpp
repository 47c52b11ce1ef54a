#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "hf/tiny_checkpoint.hpp"

namespace snug::test {

/// tiny_llama(), with rows that every group of MLX fits: two layers of width 128, two heads of 64, one of keys, a network
/// of 256, 40 tokens.
inline TinyCheckpoint wide_llama(const std::string& more = "") {
  TinyCheckpoint model{R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":40,"hidden_size":128,
    "intermediate_size":256,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1)" + more + "}"};
  model.add("model.embed_tokens.weight", {40, 128}).add("model.norm.weight", {128}).add("lm_head.weight", {40, 128});
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    model.add(layer + "input_layernorm.weight", {128}).add(layer + "post_attention_layernorm.weight", {128});
    model.add(layer + "self_attn.q_proj.weight", {128, 128}).add(layer + "self_attn.k_proj.weight", {64, 128});
    model.add(layer + "self_attn.v_proj.weight", {64, 128}).add(layer + "self_attn.o_proj.weight", {128, 128});
    model.add(layer + "mlp.gate_proj.weight", {256, 128}).add(layer + "mlp.up_proj.weight", {256, 128});
    model.add(layer + "mlp.down_proj.weight", {128, 256});
  }
  return model;
}

/// One layer of Gemma 3, as a part of a larger model where `wrapped`.
inline TinyCheckpoint wide_gemma3(bool wrapped) {
  const std::string text = R"("model_type":"gemma3_text","vocab_size":40,"hidden_size":64,"intermediate_size":96,
    "num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":32,"query_pre_attn_scalar":32,
    "_sliding_window_pattern":6,
    "rope_parameters":{"full_attention":{"rope_type":"linear","factor":8.0,"rope_theta":1000000.0},
    "sliding_attention":{"rope_type":"default","rope_theta":10000.0}},"sliding_window":16)";
  TinyCheckpoint model{wrapped ? R"({"architectures":["Gemma3ForConditionalGeneration"],"model_type":"gemma3",
                                    "vision_config":{"hidden_size":8},"text_config":{)" + text + "}}"
                               : R"({"architectures":["Gemma3ForCausalLM"],)" + text + "}"};
  const std::string prefix = wrapped ? "language_model.model." : "model.", layer = prefix + "layers.0.";
  model.add(prefix + "embed_tokens.weight", {40, 64}).add(prefix + "norm.weight", {64});
  for (const char* norm : {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                           "post_feedforward_layernorm"})
    model.add(layer + norm + ".weight", {64});
  model.add(layer + "self_attn.q_norm.weight", {32}).add(layer + "self_attn.k_norm.weight", {32});
  model.add(layer + "self_attn.q_proj.weight", {64, 64}).add(layer + "self_attn.k_proj.weight", {32, 64});
  model.add(layer + "self_attn.v_proj.weight", {32, 64}).add(layer + "self_attn.o_proj.weight", {64, 64});
  model.add(layer + "mlp.gate_proj.weight", {96, 64}).add(layer + "mlp.up_proj.weight", {96, 64});
  return model.add(layer + "mlp.down_proj.weight", {64, 96});
}

/// A network of experts in every layer of width 64, as Qwen 3 has it.
inline TinyCheckpoint wide_qwen3moe() {
  TinyCheckpoint model{R"({"architectures":["Qwen3MoeForCausalLM"],"model_type":"qwen3_moe","vocab_size":40,
    "hidden_size":64,"intermediate_size":96,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,
    "head_dim":32,"num_experts":3,"num_experts_per_tok":2,"moe_intermediate_size":32,"norm_topk_prob":true})"};
  const std::string layer = "model.layers.0.";
  model.add("model.embed_tokens.weight", {40, 64}).add("model.norm.weight", {64}).add("lm_head.weight", {40, 64});
  model.add(layer + "input_layernorm.weight", {64}).add(layer + "post_attention_layernorm.weight", {64});
  model.add(layer + "self_attn.q_norm.weight", {32}).add(layer + "self_attn.k_norm.weight", {32});
  model.add(layer + "self_attn.q_proj.weight", {64, 64}).add(layer + "self_attn.k_proj.weight", {32, 64});
  model.add(layer + "self_attn.v_proj.weight", {32, 64}).add(layer + "self_attn.o_proj.weight", {64, 64});
  model.add(layer + "mlp.gate.weight", {3, 64});
  for (const std::string expert : {"mlp.experts.0.", "mlp.experts.1.", "mlp.experts.2."}) {
    model.add(layer + expert + "gate_proj.weight", {32, 64}).add(layer + expert + "up_proj.weight", {32, 64});
    model.add(layer + expert + "down_proj.weight", {64, 32});
  }
  return model;
}

}  // namespace snug::test

#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/str.hpp"
#include "mlx/published_models.hpp"
#include "safetensors/header.hpp"

namespace snug::test {

/// The checkpoint's name of a module: "model.language_model.layers.3.mlp.up_proj.weight".
inline std::string checkpoint_name(const std::string& path) {
  const std::string inner = path.substr(std::string{"language_model.model."}.size());
  return str("model.language_model.", inner, ".weight");
}

inline std::vector<safetensors::Entry> gemma4_26b_tensors() {
  std::vector<safetensors::Entry> tensors;
  uint64_t at = 0;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    const uint64_t bytes = *safetensors::bytes_of(safetensors::Dtype::bf16, shape);
    tensors.push_back({name, safetensors::Dtype::bf16, std::move(shape), at, at + bytes});
    at += bytes;
  };
  for (const ModuleShape& module : gemma4_26b().modules) {
    const size_t stack = module.path.find("switch_glu.");
    const std::string layer = str("model.language_model.", module.path.substr(21, stack - 21));
    if (stack == std::string::npos)
      add(checkpoint_name(module.path), module.shape);
    else if (module.path.ends_with("gate_proj"))
      add(layer + "gate_up_proj", {module.shape[0], 2 * module.shape[1], module.shape[2]});
    else if (module.path.ends_with("down_proj"))
      add(layer + "down_proj", module.shape);
  }
  for (int l = 0; l < 30; ++l) {
    const std::string layer = str("model.language_model.layers.", l, ".");
    const int64_t head = l % 6 == 5 ? 512 : 256;
    add(layer + "self_attn.q_norm.weight", {head});
    add(layer + "self_attn.k_norm.weight", {head});
    for (const char* norm : {"input", "post_attention", "pre_feedforward", "post_feedforward"})
      add(str(layer, norm, "_layernorm.weight"), {2816});
    for (const char* norm : {"post_feedforward_layernorm_1", "pre_feedforward_layernorm_2", "post_feedforward_layernorm_2"})
      add(str(layer, norm, ".weight"), {2816});
    add(layer + "router.scale", {2816});
    add(layer + "router.per_expert_scale", {128});
    add(layer + "layer_scalar", {1});
  }
  add("model.language_model.norm.weight", {2816});
  return tensors;
}

/// A folder with the names and shapes of Gemma 4 26B-A4B, 50 GB whose weights are a hole in the file.
inline void write_sparse_gemma4(const std::filesystem::path& folder) {
  std::ofstream{folder / "config.json"} << R"({"architectures":["Gemma4ForConditionalGeneration"],"model_type":"gemma4",
    "dtype":"bfloat16","tie_word_embeddings":true,"text_config":{"model_type":"gemma4_text","vocab_size":262144,
    "hidden_size":2816,"num_hidden_layers":30,"intermediate_size":2112,"num_attention_heads":16,"num_key_value_heads":8,
    "num_global_key_value_heads":2,"head_dim":256,"global_head_dim":512,"attention_k_eq_v":true,"sliding_window":1024,
    "rms_norm_eps":1e-6,"tie_word_embeddings":true,"enable_moe_block":true,"num_experts":128,"top_k_experts":8,
    "moe_intermediate_size":704,"hidden_size_per_layer_input":0,"num_kv_shared_layers":0,
    "max_position_embeddings":262144}})";
  const auto tensors = gemma4_26b_tensors();
  const std::string header = safetensors::header_text(tensors, {{"format", "pt"}});
  std::ofstream{folder / "model.safetensors", std::ios::binary} << header;
  std::filesystem::resize_file(folder / "model.safetensors", header.size() + tensors.back().end);
}

}  // namespace snug::test

#pragma once

#include <cstdint>
#include <string>

#include "hf/tiny_checkpoint.hpp"

namespace snug::test {

/// Of config.json and preprocessor_config.json, of what add_tiny_tower() adds.
inline constexpr const char* kTinyVision =
    R"("vision_config":{"model_type":"siglip_vision_model","hidden_size":4,"intermediate_size":6,"num_hidden_layers":1,
    "num_attention_heads":2,"image_size":4,"patch_size":2})";
inline constexpr const char* kTinyProcessor = R"({"image_mean":[0.5,0.25,0.75],"image_std":[1,1,1]})";

/// What sees for a Gemma 3: one layer of width 4, two heads, patches of 2x2 pixels in an image of 4x4.
inline TinyCheckpoint& add_tiny_tower(TinyCheckpoint& model, int64_t text_width) {
  const std::string tower = "vision_tower.vision_model.", layer = tower + "encoder.layers.0.";
  model.add(tower + "embeddings.patch_embedding.weight", {4, 3, 2, 2});
  model.add(tower + "embeddings.position_embedding.weight", {4, 4}).add(tower + "post_layernorm.weight", {4});
  for (const char* norm : {"layer_norm1.weight", "layer_norm2.weight"}) model.add(layer + norm, {4});
  for (const char* matrix : {"q_proj", "k_proj", "v_proj", "out_proj"})
    model.add(layer + "self_attn." + matrix + ".weight", {4, 4});
  model.add(layer + "mlp.fc1.weight", {6, 4}).add(layer + "mlp.fc2.weight", {4, 6});
  model.add("multi_modal_projector.mm_input_projection_weight", {4, text_width});
  return model.add("multi_modal_projector.mm_soft_emb_norm.weight", {4});
}

}  // namespace snug::test

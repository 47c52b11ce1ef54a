// Gemma 4: a tower like the text model's layers, whose matrices may say where their inputs and outputs are clipped.
#include <cstring>

#include "hf/projectors/projector_kind.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

/// A matrix that may be clipped has a level more in its name.
std::string unwrapped(std::string name) {
  constexpr std::string_view kWrapper = ".linear.weight";
  if (name.ends_with(kWrapper)) name.replace(name.size() - kWrapper.size(), kWrapper.size(), ".weight");
  return name;
}

std::optional<std::string> name_of(std::string_view given) {
  const std::string whole = behind(given, "model.").value_or(std::string{given});
  if (const auto projector = behind(whole, "embed_vision.")) return projector;
  if (const auto projector = behind(whole, "embed_audio.")) return "audio." + *projector;
  if (const auto tower = behind(whole, "audio_tower.")) return "audio." + unwrapped(*tower);
  const auto tower = behind(whole, "vision_tower.");
  if (!tower) return {};
  return unwrapped(*tower);
}

/// The patch embedding as a convolution: a pixel's colours lie together, a convolution wants each colour's pixels.
void add_patches(const Piece& piece, Output& out) {
  const Tensor from = piece.weights();
  const int64_t side = piece.config().need_integer({"patch_size"});
  constexpr int64_t kColours = 3;
  piece.need_shape({0, side * side * kColours});
  const int64_t shape[] = {from.rows(), kColours, side, side};
  const auto make = [from, side](int64_t row, std::span<std::byte> to) {
    const int64_t y = row % side, colour = row / side % kColours;
    std::vector<float> values(static_cast<size_t>(from.cols()));
    decode_row(from, row / (side * kColours), values);
    for (int64_t x = 0; x < side; ++x)
      std::memcpy(to.data() + x * 4, &values[static_cast<size_t>((y * side + x) * kColours + colour)], sizeof(float));
  };
  out.add(piece.name(), tensor_made(FormatId::f32, shape, from.file, make));
}

constexpr Rule kRules[] = {
    {"patch_embedder.input_proj", "v.patch_embd", add_patches},
    {"patch_embedder.position_embedding_table", "v.position_embd.weight", add_as_f32},
    {"encoder.layers.#.input_layernorm", "v.blk.#.ln1"},
    {"encoder.layers.#.post_attention_layernorm", "v.blk.#.attn_post_norm"},
    {"encoder.layers.#.pre_feedforward_layernorm", "v.blk.#.ln2"},
    {"encoder.layers.#.post_feedforward_layernorm", "v.blk.#.ffn_post_norm"},
    {"encoder.layers.#.self_attn.q_norm", "v.blk.#.attn_q_norm"},
    {"encoder.layers.#.self_attn.k_norm", "v.blk.#.attn_k_norm"},
    {"encoder.layers.#.self_attn.q_proj", "v.blk.#.attn_q"},
    {"encoder.layers.#.self_attn.k_proj", "v.blk.#.attn_k"},
    {"encoder.layers.#.self_attn.v_proj", "v.blk.#.attn_v"},
    {"encoder.layers.#.self_attn.o_proj", "v.blk.#.attn_out"},
    {"encoder.layers.#.mlp.gate_proj", "v.blk.#.ffn_gate"},
    {"encoder.layers.#.mlp.up_proj", "v.blk.#.ffn_up"},
    {"encoder.layers.#.mlp.down_proj", "v.blk.#.ffn_down"},
    {"std_bias", "v.std_bias"},
    {"std_scale", "v.std_scale"},
    {"embedding_projection", "mm.input_projection"},
};

void add_keys(const Images& images, Keys& keys) {
  keys.text("vision.projector_type", "gemma4v");
  keys.number("vision.image_size", 224);  // loaders want a number and do not use it
  keys.real("vision.attention.layer_norm_epsilon", images.vision.real({"layer_norm_eps"}).value_or(1e-6));
}

}  // namespace

const ProjectorKind kGemma4Projector{
    .type = "gemma4v",
    .name = name_of,
    .rules = kRules,
    .keys = add_keys,
    .needed = "v.patch_embd.weight v.position_embd.weight mm.input_projection.weight",
    .needed_layer = "ln1 ln2 attn_post_norm ffn_post_norm attn_q attn_k attn_v attn_out attn_q_norm attn_k_norm "
                    "ffn_gate ffn_up ffn_down",
    .hearing = &kGemma4Hearing,
};

}  // namespace snug::hf

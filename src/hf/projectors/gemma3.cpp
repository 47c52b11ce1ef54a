// Gemma 3: a SigLIP tower and a projection with a norm that is stored less 1.
#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "hf/projectors/projector_kind.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

/// Published checkpoints put the tower into "vision_model.", newer ones do not.
std::optional<std::string> name_of(std::string_view given) {
  const std::string whole = behind(given, "model.").value_or(std::string{given});
  if (const auto projector = behind(whole, "multi_modal_projector.")) return projector;
  auto tower = behind(whole, "vision_tower.");
  if (!tower) return {};
  tower = behind(*tower, "vision_model.").value_or(*tower);
  if (tower->starts_with("head.")) return {};  // pools an image into one vector, which no text model asks for
  return tower;
}

void add_plus_one(const Piece& piece, Output& out) {
  out.add(piece.name(), changed(piece.weights(), [](std::span<float> values) {
    for (float& value : values) value += 1;
  }));
}

/// The projection is multiplied from the other side, which not every back end does with bf16.
void add_as_f16(const Piece& piece, Output& out) {
  piece.need_shape({0, 0});
  const Tensor from = piece.weights();
  const int64_t shape[] = {from.rows(), from.cols()};
  out.add(piece.name(), tensor_made(FormatId::f16, shape, from.file, [from](int64_t row, std::span<std::byte> to) {
    std::vector<float> values(static_cast<size_t>(from.cols()));
    decode_row(from, row, values);
    for (size_t c = 0; c < values.size(); ++c) {
      const uint16_t bits = to_f16(values[c]);
      std::memcpy(to.data() + c * sizeof bits, &bits, sizeof bits);
    }
  }));
}

constexpr Rule kRules[] = {
    {"embeddings.patch_embedding", "v.patch_embd", add_as_f32},
    {"embeddings.position_embedding", "v.position_embd", add_as_f32},
    {"encoder.layers.#.layer_norm1", "v.blk.#.ln1"},
    {"encoder.layers.#.layer_norm2", "v.blk.#.ln2"},
    {"encoder.layers.#.self_attn.q_proj", "v.blk.#.attn_q"},
    {"encoder.layers.#.self_attn.k_proj", "v.blk.#.attn_k"},
    {"encoder.layers.#.self_attn.v_proj", "v.blk.#.attn_v"},
    {"encoder.layers.#.self_attn.out_proj", "v.blk.#.attn_out"},
    {"encoder.layers.#.mlp.fc1", "v.blk.#.ffn_up"},
    {"encoder.layers.#.mlp.fc2", "v.blk.#.ffn_down"},
    {"post_layernorm", "v.post_ln"},
    {"mm_input_projection_weight", "mm.input_projection.weight", add_as_f16},
    {"mm_soft_emb_norm", "mm.soft_emb_norm", add_plus_one},
};

/// Patches of a side that are pooled into one; loaders take 4 for granted.
void add_pooling(const Images& images, Keys& keys) {
  const auto found = images.processor.find("image_seq_length");
  const bool given = found != images.processor.end() && found->is_number_unsigned();
  const auto side = static_cast<int64_t>(std::sqrt(given ? found->get<double>() : 256));
  const int64_t patch = images.vision.need_integer({"patch_size"});
  if (side < 1 || patch < 1) images.vision.refuse("an image has no patches");
  const int64_t pooled = images.vision.need_integer({"image_size"}) / patch / side;
  if (pooled > 0 && pooled != 4) keys.number("vision.projector.scale_factor", pooled);
}

void add_keys(const Images& images, Keys& keys) {
  keys.text("projector_type", "gemma3");
  keys.number("vision.image_size", images.vision.need_integer({"image_size"}));
  keys.real("vision.attention.layer_norm_epsilon", images.vision.need_real({"layer_norm_eps"}));
  keys.flag("use_gelu", true);
  add_pooling(images, keys);
}

}  // namespace

const ProjectorKind kGemma3Projector{
    .type = "gemma3",
    .name = name_of,
    .rules = kRules,
    .keys = add_keys,
    .needed = "v.patch_embd.weight v.position_embd.weight v.post_ln.weight mm.input_projection.weight "
              "mm.soft_emb_norm.weight",
    .needed_layer = "ln1 ln2 attn_q attn_k attn_v attn_out ffn_up ffn_down",
};

}  // namespace snug::hf

// The tower of Qwen 3 VL and Qwen 3.5: patches of two frames, and a merger of neighbouring patches.
#include <cmath>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/projectors/projector_kind.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

/// One frame of a patch embedding [width, 3, frames, side, side].
Tensor frame_of(const Piece& piece, int64_t frame) {
  const std::vector<int64_t>& shape = piece.source.raw->shape;
  const int64_t images = shape[0] * shape[1], frames = shape[2], side = shape[3];
  safetensors::Tensor flat = *piece.source.raw;
  flat.shape = {images * frames * side, side};
  std::vector<int64_t> firsts;
  for (int64_t image = 0; image < images; ++image) firsts.push_back((image * frames + frame) * side);
  return reshaped(selected(plain_tensor(flat), side, std::move(firsts)), {side, side, shape[1], shape[0]});
}

/// The layers of the tower that reach into the text model.
std::vector<int64_t> deep_indexes(const Config& vision) {
  std::vector<int64_t> layers;
  const int64_t depth = vision_layers(vision);
  for (const double layer : vision.reals({"deepstack_visual_indexes"})) {
    if (!(layer >= 0) || layer >= static_cast<double>(depth) || layer != std::floor(layer))
      vision.refuse(str("deepstack_visual_indexes names layer ", layer, " of ", depth));
    layers.push_back(static_cast<int64_t>(layer));
  }
  return layers;
}

/// What a layer of the tower adds to the text model's first layers: the list's n-th is of the layer that the
/// configuration names.
void add_deep(const Piece& piece, Output& out) {
  const std::vector<int64_t> layers = deep_indexes(piece.config());
  if (piece.expert < 0 || piece.expert >= static_cast<int64_t>(layers.size()))
    piece.source.refuse(str("deepstack_visual_indexes names no layer for the tensor ", quoted(piece.source.name)));
  out.add(str("v.deepstack.", layers[static_cast<size_t>(piece.expert)], ".", piece.name()), piece.weights());
}

constexpr Rule kRules[] = {
    {"patch_embed.proj", "v.patch_embd", add_frames},
    {"pos_embed", "v.position_embd", add_as_f32},
    {"blocks.#.norm1", "v.blk.#.ln1"},
    {"blocks.#.norm2", "v.blk.#.ln2"},
    {"blocks.#.attn.qkv", "v.blk.#.attn_qkv"},
    {"blocks.#.attn.proj", "v.blk.#.attn_out"},
    {"blocks.#.mlp.linear_fc1", "v.blk.#.ffn_up"},
    {"blocks.#.mlp.linear_fc2", "v.blk.#.ffn_down"},
    {"deepstack_merger_list.#.norm", "norm", add_deep},
    {"deepstack_merger_list.#.linear_fc1", "fc1", add_deep},
    {"deepstack_merger_list.#.linear_fc2", "fc2", add_deep},
    {"merger.norm", "v.post_ln"},
    {"merger.linear_fc1", "mm.0"},
    {"merger.linear_fc2", "mm.2"},
};

/// The side of the square that the positions fill, where it is not said.
int64_t image_size(const Config& vision) {
  if (const auto given = vision.integer({"image_size"})) return *given;
  const auto positions = static_cast<double>(vision.need_integer({"num_position_embeddings"}));
  return static_cast<int64_t>(std::sqrt(positions) * static_cast<double>(vision.need_integer({"patch_size"})));
}

std::vector<bool> deep_layers(const Config& vision) {
  std::vector<bool> deep(static_cast<size_t>(vision_layers(vision)));
  for (const int64_t layer : deep_indexes(vision)) deep[static_cast<size_t>(layer)] = true;
  return deep;
}

void add_keys(const Images& images, Keys& keys) {
  keys.text("projector_type", "qwen3vl_merger");
  keys.number("vision.image_size", image_size(images.vision));
  keys.flag("use_gelu", true);
  keys.number("vision.spatial_merge_size", images.vision.integer({"spatial_merge_size"}));
  keys.real("vision.attention.layer_norm_epsilon", images.model.real({"rms_norm_eps"}).value_or(1e-6));
  keys.flags("vision.is_deepstack_layers", deep_layers(images.vision));
}

}  // namespace

std::optional<std::string> visual_name(std::string_view given) {
  const std::string whole = behind(given, "model.").value_or(std::string{given});
  return behind(whole, "visual.");
}

void add_frames(const Piece& piece, Output& out) {
  if (piece.suffix == ".bias") return out.add(piece.name(), piece.weights());
  const std::vector<int64_t>& shape = piece.source.raw->shape;
  if (shape.size() != 5 || shape[2] != 2 || shape[3] != shape[4])
    piece.source.refuse("the embedding of patches does not have two frames");
  out.add(piece.name(), as_f32(frame_of(piece, 0)));
  out.add(piece.name() + ".1", as_f32(frame_of(piece, 1)));
}

const ProjectorKind kQwen3VlProjector{
    .type = "qwen3vl_merger",
    .name = visual_name,
    .rules = kRules,
    .keys = add_keys,
    .needed = "v.patch_embd.weight v.patch_embd.weight.1 v.position_embd.weight v.post_ln.weight mm.0.weight "
              "mm.2.weight",
    .needed_layer = "ln1 ln2 attn_qkv attn_out ffn_up ffn_down",
};

}  // namespace snug::hf

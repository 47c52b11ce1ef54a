// The towers of Qwen 2 VL and 2.5 VL: patches of two frames, and a merger of neighbouring patches.
#include <cmath>

#include "hf/projectors/projector_kind.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

/// Queries, keys and values lie in one matrix; loaders want three.
void add_thirds(const Piece& piece, Output& out) {
  const Tensor& from = piece.weights();
  const int64_t rows = from.dims == 1 ? from.cols() : from.rows(), third = rows / 3;
  if (third * 3 != rows) piece.source.refuse("queries, keys and values of the tower do not have as many rows each");
  for (int64_t part = 0; part < 3; ++part) {
    std::vector<int64_t> columns;
    for (int64_t c = 0; from.dims == 1 && c < third; ++c) columns.push_back(part * third + c);
    out.add(piece.name(static_cast<size_t>(part)),
            from.dims == 1 ? selected_columns(from, std::move(columns)) : selected(from, third, {part * third}));
  }
}

constexpr Rule kRules[] = {
    {"patch_embed.proj", "v.patch_embd", add_frames},
    {"blocks.#.norm1", "v.blk.#.ln1"},
    {"blocks.#.norm2", "v.blk.#.ln2"},
    {"blocks.#.attn.qkv", "v.blk.#.attn_q v.blk.#.attn_k v.blk.#.attn_v", add_thirds},
    {"blocks.#.attn.proj", "v.blk.#.attn_out"},
    {"blocks.#.mlp.fc1", "v.blk.#.ffn_up"},
    {"blocks.#.mlp.fc2", "v.blk.#.ffn_down"},
    {"blocks.#.mlp.gate_proj", "v.blk.#.ffn_gate"},
    {"blocks.#.mlp.up_proj", "v.blk.#.ffn_up"},
    {"blocks.#.mlp.down_proj", "v.blk.#.ffn_down"},
    {"merger.ln_q", "v.post_ln"},
    {"merger.mlp.#", "mm.#"},
};

/// In 2.5 VL every n-th layer looks at the whole image, the others at windows of it.
int64_t period_of_whole_images(const Config& vision) {
  const std::vector<double> layers = vision.reals({"fullatt_block_indexes"});
  if (layers.empty()) vision.refuse("which layers look at the whole image (fullatt_block_indexes) is not said");
  const double depth = static_cast<double>(vision_layers(vision)), period = layers[0] + 1;
  bool fits = period >= 1 && period == std::floor(period) && layers.back() < depth && layers.back() + period >= depth;
  for (size_t i = 1; fits && i < layers.size(); ++i) fits = layers[i] - layers[i - 1] == period;
  if (!fits)
    vision.refuse("layers that look at the whole image (fullatt_block_indexes) have no period, which loaders ask for");
  return static_cast<int64_t>(period);
}

void add_common(const Images& images, const char* type, Keys& keys) {
  keys.text("projector_type", type);
  keys.number("vision.image_size", images.vision.integer({"image_size"}).value_or(560));
  keys.real("vision.attention.layer_norm_epsilon", 1e-6);  // of the class
}

void add_keys(const Images& images, Keys& keys) {
  add_common(images, "qwen2vl_merger", keys);
  keys.number("vision.embedding_length", images.vision.need_integer({"embed_dim"}));
  keys.number("vision.feed_forward_length", images.vision.need_integer({"hidden_size"}));
}

void add_keys_with_windows(const Images& images, Keys& keys) {
  add_common(images, "qwen2.5vl_merger", keys);
  keys.flag("use_silu", true);
  keys.number("vision.n_wa_pattern", period_of_whole_images(images.vision));
}

constexpr std::string_view kNeeded =
    "v.patch_embd.weight v.patch_embd.weight.1 v.post_ln.weight mm.0.weight mm.2.weight";

constexpr ProjectorKind tower(std::string_view type, void (*keys)(const Images&, Keys&), std::string_view needed_layer) {
  return {.type = type, .name = visual_name, .rules = kRules, .keys = keys, .needed = kNeeded, .needed_layer = needed_layer};
}

}  // namespace

constinit const ProjectorKind kQwen2VlProjector =
    tower("qwen2vl_merger", add_keys, "ln1 ln2 attn_q attn_k attn_v attn_out ffn_up ffn_down");

constinit const ProjectorKind kQwen25VlProjector =
    tower("qwen2.5vl_merger", add_keys_with_windows, "ln1 ln2 attn_q attn_k attn_v attn_out ffn_gate ffn_up ffn_down");

}  // namespace snug::hf

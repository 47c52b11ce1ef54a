// Pixtral's tower, also that of Mistral Small 3: rotary embeddings like Llama's, and rows of patches that end in a
// token of the text model.
#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/projectors/projector_kind.hpp"
#include "hf/rows.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

constexpr std::string_view kEmbedding = "embed_tokens.weight";

std::optional<std::string> name_of(std::string_view given) {
  const std::string whole = behind(given, "model.").value_or(std::string{given});
  if (const auto projector = behind(whole, "multi_modal_projector.")) return projector;
  if (whole.starts_with("language_model.") && whole.ends_with(kEmbedding)) return std::string{kEmbedding};
  return behind(whole, "vision_tower.");
}

/// Rotated pairs become neighbours, as in Llama.
void add_rotated(const Piece& piece, Output& out) {
  const Tensor& from = piece.weights();
  const int64_t heads = vision_heads(piece.config()), rows = from.dims == 1 ? from.cols() : from.rows();
  const int64_t half = rows / heads / 2;
  if (half * heads * 2 != rows) piece.config().refuse("the rows of the tower's queries are no whole number of heads");
  std::vector<int64_t> order;
  for (int64_t head = 0; head < heads; ++head)
    for (int64_t pair = 0; pair < half; ++pair)
      for (const int64_t part : {int64_t{0}, half}) order.push_back(head * 2 * half + part + pair);
  out.add(piece.name(), from.dims == 1 ? selected_columns(from, std::move(order)) : selected(from, 1, std::move(order)));
}

constexpr Rule kRules[] = {
    {"patch_conv", "v.patch_embd", add_as_f32},
    {"ln_pre", "v.pre_ln"},
    {"transformer.layers.#.attention_norm", "v.blk.#.ln1"},
    {"transformer.layers.#.ffn_norm", "v.blk.#.ln2"},
    {"transformer.layers.#.attention.q_proj", "v.blk.#.attn_q", add_rotated},
    {"transformer.layers.#.attention.k_proj", "v.blk.#.attn_k", add_rotated},
    {"transformer.layers.#.attention.v_proj", "v.blk.#.attn_v"},
    {"transformer.layers.#.attention.o_proj", "v.blk.#.attn_out"},
    {"transformer.layers.#.feed_forward.gate_proj", "v.blk.#.ffn_gate"},
    {"transformer.layers.#.feed_forward.up_proj", "v.blk.#.ffn_up"},
    {"transformer.layers.#.feed_forward.down_proj", "v.blk.#.ffn_down"},
    {"norm", "mm.input_norm"},
    {"patch_merger.merging_layer", "mm.patch_merger", add_as_f32},
    {"linear_1", "mm.1"},
    {"linear_2", "mm.2"},
    {kEmbedding, "", leave_out},  // read by add_row_end()
};

/// The id that an added token has in one file, as a member of it or as its key; -1 where it is not there.
int64_t id_in(const nlohmann::json& tokens, const std::string& content) {
  for (const auto& [key, token] : tokens.items()) {
    if (!token.is_object() || !token.contains("content") || token["content"] != content) continue;
    if (!token.contains("id")) return std::atoll(key.c_str());
    return token["id"].is_number_unsigned() ? token["id"].get<int64_t>() : -1;
  }
  return -1;
}

int64_t added_token(const std::filesystem::path& folder, const std::string& content) {
  constexpr const char* kPlaces[][2] = {{"tokenizer_config.json", "added_tokens_decoder"},
                                        {"tokenizer.json", "added_tokens"}};
  for (const auto& [name, list] : kPlaces) {
    const std::filesystem::path file = folder / name;
    if (!std::filesystem::exists(file)) continue;
    const nlohmann::json whole = parse_json(read_file(file), file.string());
    if (!whole.is_object() || !whole.contains(list)) continue;
    if (const int64_t id = id_in(whole[list], content); id >= 0) return id;
  }
  throw Error{str("no added token is called '", content, "'"), folder.string(),
              "fetch tokenizer.json and tokenizer_config.json of the checkpoint"};
}

/// The embedding of the token that ends a row of patches.
void add_row_end(const Images& images, const Sources& sources, Output& out) {
  const int64_t id = added_token(images.folder, "[IMG_BREAK]");
  const Source* embedding = sources.find(kEmbedding);
  if (!embedding || id >= embedding->need_weights().rows())
    images.model.refuse("the embedding of [IMG_BREAK] is not in the checkpoint", "fetch all files of the checkpoint");
  out.add("v.token_embd.img_break", reshaped(selected(*embedding->weights, 1, {id}), {embedding->weights->cols()}));
}

void add_activation(const Config& vision, Keys& keys) {
  const std::string name = vision.string({"hidden_act"}).value_or("");
  if (name != "silu" && name != "gelu") vision.refuse(str("the tower's hidden_act is ", quoted(name), ", not silu or gelu"));
  keys.flag("use_" + name, true);
}

void add_keys(const Images& images, Keys& keys) {
  keys.text("projector_type", "pixtral");
  keys.number("vision.image_size", images.vision.need_integer({"image_size"}));
  keys.real("vision.attention.layer_norm_epsilon", images.vision.real({"layer_norm_eps"}).value_or(1e-5));
  add_activation(images.vision, keys);
  keys.number("vision.spatial_merge_size", images.model.integer({"spatial_merge_size"}));
}

}  // namespace

const ProjectorKind kPixtralProjector{
    .type = "pixtral",
    .name = name_of,
    .rules = kRules,
    .keys = add_keys,
    .needed = "v.patch_embd.weight v.pre_ln.weight mm.1.weight mm.2.weight",
    .needed_layer = "ln1 ln2 attn_q attn_k attn_v attn_out ffn_gate ffn_up ffn_down",
    .generate = add_row_end,
};

}  // namespace snug::hf

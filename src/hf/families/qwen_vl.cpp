// The text models of Qwen 2 VL, 2.5 VL and 3 VL: Qwen 2 and 3 with rotary embeddings in sections, which are one for text.
#include "hf/family.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

/// Loaders ask for the sections; Qwen 3 VL's class has usual ones.
void add_sections(const Config& config, Keys& keys) {
  if (config.rope().contains("mrope_section")) return;  // by add_common_keys()
  if (keys.architecture() == "qwen2vl") config.refuse("the sections of rotary embeddings (mrope_section) are not said");
  keys.numbers("rope.dimension_sections", {24, 20, 20, 0});
}

void dense_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  add_common_keys(checkpoint.config, blocks, keys);
  add_sections(checkpoint.config, keys);
}

/// How many of the vision tower's layers reach into the text model's first ones.
int64_t deep_layers(const Config& config) {
  const std::optional<Config> vision = config.part_if_any("vision_config");
  return vision ? static_cast<int64_t>(vision->reals({"deepstack_visual_indexes"}).size()) : 0;
}

void third_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  dense_keys(checkpoint, blocks, keys);
  keys.number("n_deepstack_layers", deep_layers(checkpoint.config));
}

void expert_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  third_keys(checkpoint, blocks, keys);
  keys.number("expert_feed_forward_length", checkpoint.config.integer({"moe_intermediate_size"}));
}

/// Published files have experts input by input, [N, E, 2X] and [N, X, E]; some libraries write them output by output.
bool is_input_by_input(const Piece& piece, int64_t inputs, int64_t outputs) {
  const auto& shape = piece.weights().shape;  // columns first
  return shape[1] == inputs && shape[0] == outputs;
}

/// `inputs` and `outputs` are those of one expert's matrix.
Tensor output_by_output(const Piece& piece, int64_t inputs, int64_t outputs) {
  piece.need_shape({0, 0, 0});
  return is_input_by_input(piece, inputs, outputs) ? transposed(piece.weights()) : piece.weights();
}

void add_gates_and_ups(const Piece& piece, Output& out) {
  const int64_t width = piece.config().need_integer({"moe_intermediate_size"});
  add_halves(piece, output_by_output(piece, piece.config().hidden(), 2 * width), out);
}

void add_downs(const Piece& piece, Output& out) {
  const int64_t width = piece.config().need_integer({"moe_intermediate_size"});
  out.add(piece.name(), output_by_output(piece, width, piece.config().hidden()));
}

constexpr Rule kExperts[] = {
    {"mlp.experts.gate_up_proj", "ffn_gate_exps.weight ffn_up_exps.weight", add_gates_and_ups},
    {"mlp.experts.down_proj", "ffn_down_exps.weight", add_downs},
};

}  // namespace

const Family kQwen2Vl{
    .architecture = "qwen2vl",
    .rules = {kAttentionRules, kPostAttentionIsFfnNorm, kDenseRules},
    .keys = dense_keys,
};

const Family kQwen3Vl{
    .architecture = "qwen3vl",
    .rules = {kAttentionRules, kPostAttentionIsFfnNorm, kDenseRules},
    .keys = third_keys,
};

const Family kQwen3VlMoe{
    .architecture = "qwen3vlmoe",
    .rules = {kExperts, kAttentionRules, kPostAttentionIsFfnNorm, kExpertRules},
    .keys = expert_keys,
};

}  // namespace snug::hf

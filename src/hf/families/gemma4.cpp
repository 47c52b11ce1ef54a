// Gemma 4: layers of two head sizes, per-layer embeddings, experts beside a dense network. Norms are plain.
#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "hf/family.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;

constexpr Rule kPerLayer[] = {
    {"embed_tokens_per_layer", "per_layer_token_embd"},
    {"per_layer_model_projection", "per_layer_model_proj"},
    {"per_layer_projection_norm", "per_layer_proj_norm"},
};

constexpr std::string_view kGate = ".experts.switch_glu.gate_proj.weight", kUp = ".experts.switch_glu.up_proj.weight";

/// The other half of MLX's pair of expert tensors in the same layer, where it is of the same format.
const Tensor* other_half(const Piece& piece, std::string_view own, std::string_view other) {
  const std::string& name = piece.source.name;
  const Source* source = piece.checkpoint.sources.find(name.substr(0, name.size() - own.size()) + std::string{other});
  if (!source) return nullptr;
  const Tensor &mine = piece.weights(), &others = source->need_weights();
  return mine.format == others.format && mine.shape == others.shape ? &others : nullptr;
}

/// MLX keeps gates and ups apart. Together where they have one format, as every other container has them.
void add_gates(const Piece& piece, Output& out) {
  const Tensor* ups = other_half(piece, kGate, kUp);
  out.add(piece.name(ups ? 0 : 1), ups ? side_by_side(piece.weights(), *ups) : piece.weights());
}

void add_ups(const Piece& piece, Output& out) {
  if (!other_half(piece, kUp, kGate)) out.add(piece.name(), piece.weights());
}

constexpr Rule kRules[] = {
    {"experts.switch_glu.gate_proj", "ffn_gate_up_exps.weight ffn_gate_exps.weight", add_gates},
    {"experts.switch_glu.up_proj", "ffn_up_exps.weight", add_ups},
    {"experts.switch_glu.down_proj", "ffn_down_exps.weight"},
    {"post_attention_layernorm", "post_attention_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
    {"post_feedforward_layernorm_1", "post_ffw_norm_1"},
    {"pre_feedforward_layernorm_2", "pre_ffw_norm_2"},
    {"post_feedforward_layernorm_2", "post_ffw_norm_2"},
    {"router.proj", "ffn_gate_inp"},
    {"router.scale", "ffn_gate_inp.scale"},
    {"router.per_expert_scale", "ffn_down_exps.scale"},
    {"experts.gate_up_proj", "ffn_gate_up_exps.weight"},
    {"experts.down_proj", "ffn_down_exps.weight"},
    {"per_layer_input_gate", "inp_gate"},
    {"per_layer_projection", "proj"},
    {"post_per_layer_input_norm", "post_norm"},
    {"layer_scalar", "layer_output_scale.weight"},
};

std::vector<bool> sliding_layers(const Config& config) {
  std::vector<bool> sliding;
  for (const std::string& type : config.strings({"layer_types"})) sliding.push_back(type == "sliding_attention");
  if (sliding.empty())  // the class: every 6th layer is full, and so is the last
    for (int64_t l = 0, n = config.layers(); l < n; ++l) sliding.push_back((l + 1) % 6 != 0 && l + 1 != n);
  if (static_cast<int64_t>(sliding.size()) != config.layers())
    config.refuse("layer_types does not have as many entries as there are layers");
  if (!sliding.empty()) sliding.back() = false;  // the class has full attention there, whatever is said
  return sliding;
}

/// Of a member's name; nothing where that is no number.
std::optional<size_t> layer_number(const std::string& name) {
  size_t layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return layer;
}

/// Layers with full attention may have another head size and another number of heads of keys, all of them the same.
void check_exceptions(const Config& config) {
  const json* layers = config.find({"per_layer_config"});
  if (!layers || !layers->is_object()) return;
  const auto sliding = sliding_layers(config);
  const json* first = nullptr;
  for (const auto& [number, values] : layers->items()) {
    const auto layer = layer_number(number);
    const bool known = layer && *layer < sliding.size() && !sliding[*layer] && (!first || values == *first);
    if (!known)
      config.cannot_be_said(str("per_layer_config makes an exception of layer ", printable(number), " that GGUF cannot say"));
    first = &values;
  }
}

/// What per_layer_config says of the first layer with full attention; older files say it for all of them at once.
std::optional<int64_t> of_full_layers(const Config& config, const char* everywhere, const char* in_layer) {
  const json* layers = config.find({"per_layer_config"});
  if (layers && layers->is_object()) {
    const auto sliding = sliding_layers(config);
    for (const auto& [number, values] : layers->items()) {
      const auto layer = layer_number(number);
      if (layer && *layer < sliding.size() && !sliding[*layer] && values.is_object() && values.contains(in_layer) &&
          values[in_layer].is_number_integer())
        return values[in_layer].get<int64_t>();
    }
  }
  return config.integer({everywhere});
}

int64_t full_head_dim(const Config& config) {
  const int64_t dim = of_full_layers(config, "global_head_dim", "head_dim").value_or(config.head_dim());
  if (dim < 1 || dim > 65536) config.refuse("the size of a head of full attention is out of range");
  return dim;
}

/// Rotated pairs as they are, then pairs that are divided until they stand still.
void generate(const Checkpoint& checkpoint, Output& out) {
  const Config& config = checkpoint.config;
  if (config.rope_type() != "proportional") return;
  const int64_t dim = full_head_dim(config);
  const int64_t turning = config.rotated(dim, config.rope_real("partial_rotary_factor")) / 2;
  std::vector<float> factors(static_cast<size_t>(dim / 2), 1e30f);
  std::fill_n(factors.begin(), std::clamp<int64_t>(turning, 0, dim / 2), 1.0f);
  out.add("rope_freqs.weight", tensor_of(std::move(factors), config.where()));
}

std::optional<double> sliding_value(const Config& config, const char* key) {
  const auto found = config.sliding_rope().find(key);
  if (found == config.sliding_rope().end() || !found->is_number()) return {};
  return found->get<double>();
}

/// Either one number or one for every layer.
void add_per_layer_numbers(const Config& config, const std::vector<bool>& sliding, Keys& keys) {
  const bool shares = config.flag({"attention_k_eq_v"}).value_or(false);  // else the class takes no notice of it
  const auto kv_heads = of_full_layers(config, shares ? "num_global_key_value_heads" : "", "num_key_value_heads");
  if (kv_heads) {
    std::vector<int64_t> heads;
    for (const bool is_sliding : sliding) heads.push_back(is_sliding ? config.kv_heads() : *kv_heads);
    keys.numbers("attention.head_count_kv", heads);
  }
  const int64_t shared = config.integer({"num_kv_shared_layers"}).value_or(0);
  if (!config.flag({"use_double_wide_mlp"}).value_or(false)) return;
  std::vector<int64_t> widths(sliding.size(), config.need_integer({"intermediate_size"}));
  for (size_t l = 0; l < widths.size(); ++l)
    if (static_cast<int64_t>(l) >= config.layers() - shared) widths[l] *= 2;
  keys.numbers("feed_forward_length", widths);
}

/// Layers that share keys and values take those of the last layer of their kind before them; loaders take the last two
/// for granted, one with a window and then one without.
void check_shared(const Config& config, const std::vector<bool>& sliding) {
  const auto first = static_cast<int64_t>(sliding.size()) - config.integer({"num_kv_shared_layers"}).value_or(0);
  for (size_t l = static_cast<size_t>(std::max<int64_t>(0, first)); l < sliding.size(); ++l) {
    const int64_t from = first - (sliding[l] ? 2 : 1);
    if (from < 0 || sliding[static_cast<size_t>(from)] != sliding[l])
      config.cannot_be_said(str("layer ", l, " shares keys and values with another layer (num_kv_shared_layers, layer_types) than "
                        "GGUF's loaders take for granted"));
  }
}

void gemma4_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
  check_exceptions(config);
  const std::vector<bool> sliding = sliding_layers(config);
  check_shared(config, sliding);
  const int64_t full_dim = full_head_dim(config), dim = config.head_dim();
  add_common_keys(config, blocks, keys);
  keys.number("attention.shared_kv_layers", config.integer({"num_kv_shared_layers"}).value_or(0));
  keys.number("embedding_length_per_layer_input", config.integer({"hidden_size_per_layer_input"}).value_or(0));
  keys.flags("attention.sliding_window_pattern", sliding);
  keys.number("attention.sliding_window", config.integer({"sliding_window"}));
  keys.number("attention.key_length", full_dim);
  keys.number("attention.value_length", full_dim);
  keys.number("attention.key_length_swa", dim);
  keys.number("attention.value_length_swa", dim);
  add_per_layer_numbers(config, sliding, keys);
  keys.number("expert_feed_forward_length", config.integer({"expert_intermediate_size", "moe_intermediate_size"}));
  keys.number("rope.dimension_count", full_dim);
  keys.number("rope.dimension_count_swa",
              config.rotated(dim, sliding_value(config, "partial_rotary_factor")));
  keys.real("final_logit_softcapping", config.real({"final_logit_softcapping"}).value_or(0));  // loaders' usual one is 30
}

}  // namespace

const Family kGemma4{
    .architecture = "gemma4",
    .rules = {kRules, kAttentionRules, kDenseRules},
    .globals = {kPerLayer, kGlobalRules},
    .keys = gemma4_keys,
    .needed = "attn_norm attn_q attn_output post_attention_norm ffn_norm ffn_gate ffn_up ffn_down post_ffw_norm",
    .generate = generate,
};

}  // namespace snug::hf

#include "model/roles.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <optional>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

struct StemRole {
  std::string_view stem;
  Role role;
};

/// Names without "blk.n." and without the last part. What is not here goes by the rules of role_of().
constexpr StemRole kStems[] = {
    {"token_embd", Role::token_embd},
    {"per_layer_token_embd", Role::token_embd},
    {"nextn.embed_tokens", Role::token_embd},
    {"output", Role::output},
    {"nextn.shared_head_head", Role::output},
    {"attn_q", Role::attn_q},
    {"attn_q_a", Role::attn_q},
    {"attn_q_b", Role::attn_q},
    {"attn_k", Role::attn_k},
    {"attn_k_b", Role::attn_k},
    {"attn_kv_a_mqa", Role::attn_k},  // keys and values share this latent
    {"attn_v", Role::attn_v},
    {"attn_v_b", Role::attn_v},
    {"attn_kv_b", Role::attn_v},
    {"attn_qkv", Role::attn_qkv},
    {"attn_output", Role::attn_output},
    {"ssm_out", Role::attn_output},  // what attn_output is to a recurrent layer
    {"ffn_gate", Role::ffn_gate},
    {"ffn_up", Role::ffn_up},
    {"ffn_down", Role::ffn_down},
    {"ffn_gate_exps", Role::ffn_gate_exps},
    {"ffn_gate_up_exps", Role::ffn_gate_exps},
    {"ffn_up_exps", Role::ffn_up_exps},
    {"ffn_down_exps", Role::ffn_down_exps},
    {"ffn_gate_shexp", Role::ffn_shexp},
    {"ffn_up_shexp", Role::ffn_shexp},
    {"ffn_down_shexp", Role::ffn_shexp},
    {"ffn_gate_inp", Role::router},
    {"ffn_gate_inp_shexp", Role::router},
    {"ffn_gate_tid2eid", Role::router},
    {"exp_probs_b", Role::router},
};

constexpr std::array<std::string_view, 19> kRoleNames = {
    "token_embd", "output",   "attn_q", "attn_k",   "attn_v",        "attn_qkv",    "attn_output",
    "attn_other", "ffn_gate", "ffn_up", "ffn_down", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps",
    "ffn_shexp",  "router",   "norm",   "ssm",      "other"};
static_assert(kRoleNames.size() == static_cast<size_t>(Role::other) + 1);

/// Parts of names that llama-quantize keeps as they are.
constexpr std::string_view kKept[] = {"_norm.weight",
                                      "ffn_gate_inp.weight",
                                      "ffn_gate_tid2eid.weight",
                                      "altup",
                                      "laurel",
                                      "per_layer_model_proj",
                                      "ssm_conv1d",
                                      "shortconv.conv.weight",
                                      "indexer.k_proj.weight",
                                      "indexer.q_proj.weight",
                                      "time_mix_first.weight",
                                      "time_mix_w0.weight",
                                      "time_mix_w1.weight",
                                      "time_mix_w2.weight",
                                      "time_mix_v0.weight",
                                      "time_mix_v1.weight",
                                      "time_mix_v2.weight",
                                      "time_mix_a0.weight",
                                      "time_mix_a1.weight",
                                      "time_mix_a2.weight",
                                      "time_mix_g1.weight",
                                      "time_mix_g2.weight",
                                      "time_mix_decay_w1.weight",
                                      "time_mix_decay_w2.weight",
                                      "time_mix_lerp_fused.weight",
                                      "attn_rel_b.weight",
                                      ".position_embd",
                                      "sam.pos_embd",
                                      "sam.neck.",
                                      "sam.net_",
                                      ".rel_pos",
                                      ".patch_embd",
                                      ".patch_merger",
                                      "a.rvq.codebook",
                                      "mm.a.code_embd"};
constexpr std::string_view kKeptNames[] = {"position_embd.weight", "token_types.weight"};

struct Block {
  int index;
  std::string_view rest;  // behind "blk.n."
};

std::optional<Block> parse_block(std::string_view name) {
  constexpr std::string_view prefix = "blk.";
  if (!name.starts_with(prefix)) return {};
  const char* const end = name.data() + name.size();
  int index = -1;
  const auto [digits_end, error] = std::from_chars(name.data() + prefix.size(), end, index);
  if (error != std::errc{} || index < 0 || digits_end == end || *digits_end != '.') return {};
  return Block{index, name.substr(static_cast<size_t>(digits_end - name.data()) + 1)};
}

/// Without "blk.n." (or "v.blk.n.", of a vision tower) and without ".weight", ".bias" or ".scale".
std::string_view stem_of(std::string_view name) {
  const size_t at = name.find("blk.");
  if (at != std::string_view::npos && (at == 0 || name[at - 1] == '.'))
    if (const auto block = parse_block(name.substr(at))) name = block->rest;
  for (const std::string_view ending : {".weight", ".bias", ".scale"})
    if (name.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  return name;
}

bool is_norm(std::string_view stem) {
  return stem.ends_with("norm") || stem.ends_with("_norm_1") || stem.ends_with("_norm_2");
}

bool starts_with_any(std::string_view stem, std::initializer_list<std::string_view> prefixes) {
  return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return stem.starts_with(prefix); });
}

}  // namespace

Role role_of(std::string_view tensor_name) {
  const std::string_view stem = stem_of(tensor_name);
  const auto* const row = std::ranges::find(kStems, stem, &StemRole::stem);
  if (row != std::end(kStems)) return row->role;
  if (is_norm(stem)) return Role::norm;
  if (stem.starts_with("attn_")) return Role::attn_other;
  if (starts_with_any(stem, {"ssm_", "time_mix_", "shortconv."})) return Role::ssm;
  return Role::other;
}

std::string_view role_name(Role role) {
  return kRoleNames[static_cast<size_t>(role)];
}

int layer_of(std::string_view tensor_name) {
  const auto block = parse_block(tensor_name);
  return block ? block->index : -1;
}

bool is_quantizable(const Tensor& tensor) {
  if (tensor.rows() < 2 || !tensor.name.ends_with("weight")) return false;
  const auto is_in_name = [&](std::string_view part) {
    return tensor.name.find(part) != std::string_view::npos;
  };
  return std::ranges::none_of(kKept, is_in_name) &&
         std::ranges::find(kKeptNames, tensor.name) == std::end(kKeptNames);
}

namespace {

/// A number that some architectures give per layer: the first layer's, as llama-quantize's rules read it.
std::optional<int64_t> of_first_layer(const ModelSource& model, const std::string& key) {
  const MetadataValue* value = model.metadata().find(key);
  if (!value || !std::holds_alternative<MetadataArray>(*value)) return model.metadata().integer(key);
  const auto& array = std::get<MetadataArray>(*value);
  if (array.element == MetadataType::string || array.element == MetadataType::f32 ||
      array.element == MetadataType::f64)
    throw Error{str("the key '", key, "' is not an array of integers"), model.metadata().where(),
                "convert the model again"};
  const std::vector<int64_t> layers = array.integers();
  return layers.empty() ? std::nullopt : std::optional{layers.front()};
}

}  // namespace

ModelShape shape_of(const ModelSource& model) {
  ModelShape shape;
  shape.architecture = model.metadata().text("general.architecture").value_or("");
  shape.name = model.metadata().text("general.name").value_or("");
  const auto number = [&](const char* key) {
    return of_first_layer(model, str(shape.architecture, ".", key));
  };
  shape.layers = number("block_count").value_or(0);
  shape.embedding = number("embedding_length").value_or(0);
  shape.heads = number("attention.head_count").value_or(0);
  shape.heads_kv = number("attention.head_count_kv").value_or(shape.heads);
  shape.experts = number("expert_count").value_or(0);
  shape.experts_used = number("expert_used_count").value_or(0);
  shape.context = number("context_length").value_or(0);
  shape.tied_output = model.find("output.weight") == nullptr;
  return shape;
}

}  // namespace snug

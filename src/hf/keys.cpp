#include "hf/keys.hpp"

#include <algorithm>

#include "base/files/output_path.hpp"
#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/rope.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;

/// Keys whose value is one of the configuration, whatever the architecture.
struct WholeKey {
  std::string_view name;
  Names from;
};

const WholeKey kSizes[] = {
    {"context_length", {"max_position_embeddings", "n_ctx", "n_positions", "max_length", "max_sequence_length",
                        "model_max_length"}},
    {"embedding_length", {"hidden_size", "n_embd", "dim"}},
    {"feed_forward_length", {"prefix_dense_intermediate_size", "dense_intermediate_size", "intermediate_size",
                             "n_inner", "hidden_dim"}},
    {"attention.head_count", {"num_attention_heads", "n_head", "n_heads"}},
    {"attention.head_count_kv", {"num_key_value_heads", "n_kv_heads"}},
    {"attention.key_length", {"head_dim"}},
    {"attention.value_length", {"head_dim"}},
    {"expert_count", {"num_local_experts", "num_experts", "n_routed_experts"}},
    {"expert_used_count", {"num_experts_per_tok", "num_experts_per_token", "top_k_experts"}},
};

struct Gating {
  std::string_view name;
  int64_t code;
};
constexpr Gating kGatings[] = {{"softmax", 1}, {"sigmoid", 2}, {"sqrtsoftplus", 4}};

void add_gating(const Config& config, Keys& keys) {
  const auto name = config.string({"score_function", "scoring_func", "score_func", "moe_router_activation",
                                   "moe_router_activation_func", "expert_selection_fn"});
  if (!name) return;
  const auto found = std::ranges::find(kGatings, *name, &Gating::name);
  if (found == std::end(kGatings)) config.refuse(str("experts are chosen by ", quoted(*name), ", which is unknown"));
  keys.number("expert_gating_func", found->code);
}

/// Groups of which some are chosen; where all are, there are none.
void add_groups(const Config& config, Keys& keys) {
  const auto groups = config.integer({"n_group"}), chosen = config.integer({"topk_group"});
  const bool all = groups && chosen && *chosen >= *groups;
  keys.number("expert_group_count", all ? 1 : groups);
  keys.number("expert_group_used_count", all ? 1 : chosen);
}

}  // namespace

void Keys::number(std::string_view name, std::optional<int64_t> value) {
  if (!value) return;
  if (*value < 0 || *value > int64_t{UINT32_MAX}) throw Error{str("'", full(name), "' would be ", *value)};
  metadata_.set(full(name), static_cast<uint32_t>(*value));
}

void Keys::real(std::string_view name, std::optional<double> value) {
  if (value) metadata_.set(full(name), static_cast<float>(*value));
}

void Keys::flag(std::string_view name, std::optional<bool> value) {
  if (value) metadata_.set(full(name), *value);
}

void Keys::text(std::string_view name, std::string_view value) { metadata_.set(full(name), value); }

void Keys::numbers(std::string_view name, const std::vector<int64_t>& values) {
  metadata_.set_array(full(name), std::vector<int32_t>(values.begin(), values.end()));
}

void Keys::flags(std::string_view name, const std::vector<bool>& values) { metadata_.set_array(full(name), values); }

void add_common_keys(const Config& config, int64_t blocks, Keys& keys) {
  keys.number("block_count", blocks);
  for (const WholeKey& key : kSizes) keys.number(key.name, config.integer(key.from));
  keys.real("attention.layer_norm_rms_epsilon", config.real({"rms_norm_eps", "norm_eps"}));
  keys.real("attention.layer_norm_epsilon", config.real({"layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"}));
  if (config.flag({"is_causal"}) == false) keys.flag("attention.causal", false);
  add_groups(config, keys);
  add_gating(config, keys);
  add_rope(config, keys);
}

namespace {

struct SamplingKey {
  const char* from;
  std::string_view to;
};
constexpr SamplingKey kSampling[] = {
    {"top_p", "top_p"}, {"min_p", "min_p"}, {"xtc_probability", "xtc_probability"},
    {"xtc_threshold", "xtc_threshold"}, {"temperature", "temp"}, {"penalty_repeat", "penalty_repeat"},
    {"mirostat_tau", "mirostat_tau"}, {"mirostat_eta", "mirostat_eta"},
};
constexpr SamplingKey kWholeSampling[] = {
    {"top_k", "top_k"}, {"penalty_last_n", "penalty_last_n"}, {"mirostat", "mirostat"},
};

void add_sampling(const std::filesystem::path& file, MetadataBuilder& metadata) {
  if (!std::filesystem::exists(file)) return;
  const json config = parse_json(read_file(file), file.string());
  if (!config.is_object()) return;
  for (const SamplingKey& key : kWholeSampling)
    if (config.contains(key.from) && config[key.from].is_number_integer())
      metadata.set(str("general.sampling.", key.to), config[key.from].get<int32_t>());
  for (const SamplingKey& key : kSampling)
    if (config.contains(key.from) && config[key.from].is_number())
      metadata.set(str("general.sampling.", key.to), config[key.from].get<float>());
}

/// llama.cpp's number for a file whose large tensors have this format.
uint32_t file_type(FormatId weights) {
  switch (weights) {
    case FormatId::f16: return 1;
    case FormatId::bf16: return 32;
    case FormatId::mxfp4: return 38;
    default: return 0;
  }
}

}  // namespace

FormatId main_format(std::span<const Tensor> tensors) {
  for (const FormatId format : {FormatId::mxfp4, FormatId::bf16, FormatId::f16})
    for (const Tensor& tensor : tensors)
      if (tensor.dims > 1 && tensor.format == format) return format;
  return FormatId::f32;
}

void add_general_keys(const std::filesystem::path& folder, FormatId weights, Keys& keys) {
  MetadataBuilder& metadata = keys.metadata();
  metadata.set("general.architecture", std::string_view{keys.architecture()});
  metadata.set("general.type", "model");
  add_sampling(folder / "generation_config.json", metadata);
  const std::filesystem::path whole = std::filesystem::absolute(folder).lexically_normal();
  const std::string name = without_last_slash(whole).filename().string();
  if (!name.empty()) metadata.set("general.name", std::string_view{name});
  metadata.set("general.file_type", file_type(weights));
  metadata.set("general.quantization_version", uint32_t{2});
}

}  // namespace snug::hf

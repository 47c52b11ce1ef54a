#include "infer/hparams.hpp"

#include <algorithm>
#include <cmath>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

constexpr int64_t kLargest = int64_t{1} << 31;

void require(bool holds, const ArchMetadata& keys, std::string_view name, const std::string& problem) {
  if (!holds) keys.fail(name, problem);
}

RopeKeys read_rope(const ArchMetadata& keys, const Hparams& hp) {
  RopeKeys rope;
  rope.dims = keys.integer("rope.dimension_count", hp.key_dim);
  rope.dims_swa = keys.integer("rope.dimension_count_swa", rope.dims);
  rope.base = keys.real("rope.freq_base", 10000);
  rope.base_swa = keys.real("rope.freq_base_swa", 0);
  rope.scaling = keys.text("rope.scaling.type", "linear");
  rope.factor = keys.real("rope.scaling.factor", keys.real("rope.scale_linear", 0));
  rope.original_context = keys.integer("rope.scaling.original_context_length", hp.context);
  if (rope.original_context == 0) rope.original_context = hp.context;
  rope.attn_factor = keys.real("rope.scaling.attn_factor", 1);
  if (hp.architecture == "mistral3" || hp.architecture == "deepseek2")  // as llama.cpp: not for the others
    rope.yarn_log_multiplier = keys.real("rope.scaling.yarn_log_multiplier", 0);
  rope.beta_fast = keys.real("rope.scaling.yarn_beta_fast", 32);
  rope.beta_slow = keys.real("rope.scaling.yarn_beta_slow", 1);
  rope.sections = keys.integers("rope.dimension_sections");
  constexpr std::string_view kScalings[] = {"none", "linear", "yarn", "longrope"};
  require(std::ranges::find(kScalings, rope.scaling) != std::end(kScalings), keys, "rope.scaling.type",
          str("'", rope.scaling, "' is not one of none, linear, yarn, longrope"));
  require(rope.base > 0, keys, "rope.freq_base", "must be positive");
  require(rope.dims % 2 == 0 && rope.dims_swa % 2 == 0, keys, "rope.dimension_count", "must be even");
  require(rope.dims <= hp.key_dim, keys, "rope.dimension_count",
          str(rope.dims, " is more than the head size ", hp.key_dim));
  return rope;
}

void read_experts(const ArchMetadata& keys, Hparams& hp) {
  hp.experts = keys.integer("expert_count", 0);
  hp.experts_used = keys.integer("expert_used_count", 0);
  hp.expert_ffn = keys.integer("expert_feed_forward_length", 0);
  hp.shared_ffn = keys.integer("expert_shared_feed_forward_length", 0);
  hp.shared_experts = keys.integer("expert_shared_count", 0);
  hp.expert_groups = keys.integer("expert_group_count", 0);
  hp.expert_groups_used = keys.integer("expert_group_used_count", 0);
  hp.expert_scale = keys.real("expert_weights_scale", 0);
  hp.expert_norm = keys.boolean("expert_weights_norm", false);
  hp.expert_gating = keys.integer("expert_gating_func", 0);
  hp.leading_dense = keys.integer("leading_dense_block_count", 0);
  require(hp.experts_used <= hp.experts && (hp.experts_used > 0) == (hp.experts > 0), keys,
          "expert_used_count", str("is ", hp.experts_used, " of ", hp.experts, " experts"));
  if (hp.expert_groups > 1)
    require(hp.experts % hp.expert_groups == 0 && hp.expert_groups_used > 0 &&
                hp.expert_groups_used < hp.expert_groups,
            keys, "expert_group_count", str(hp.expert_groups_used, " of ", hp.expert_groups, " groups"));
}

void read_heads(const ArchMetadata& keys, Hparams& hp) {
  hp.heads = keys.per_block("attention.head_count", hp.blocks, 0);
  hp.kv_heads = keys.per_block("attention.head_count_kv", hp.blocks, 0);
  for (size_t l = 0; l < hp.heads.size(); ++l) {
    if (hp.kv_heads[l] == 0) hp.kv_heads[l] = hp.heads[l];
    require(hp.heads[l] > 0 && hp.heads[l] <= 65536, keys, "attention.head_count",
            str("is ", hp.heads[l], " in block ", l));
    require(hp.heads[l] % hp.kv_heads[l] == 0, keys, "attention.head_count_kv",
            str(hp.heads[l], " heads cannot share ", hp.kv_heads[l], " evenly"));
  }
  const int64_t dim = hp.embedding / hp.heads[0];
  hp.key_dim = keys.integer("attention.key_length", dim);
  hp.value_dim = keys.integer("attention.value_length", dim);
  hp.key_dim_swa = keys.integer("attention.key_length_swa", hp.key_dim);
  hp.value_dim_swa = keys.integer("attention.value_length_swa", hp.value_dim);
  for (const int64_t d : {hp.key_dim, hp.value_dim, hp.key_dim_swa, hp.value_dim_swa})
    require(d > 0 && d <= 65536, keys, "attention.key_length", str("a head size of ", d));
}

}  // namespace

void ArchMetadata::fail(std::string_view name, const std::string& problem) const {
  throw Error{str("metadata key '", full(name), "': ", problem), file_.path().string(),
              "convert the model again with a current converter"};
}

int64_t ArchMetadata::integer(std::string_view name, int64_t fallback) const {
  const auto value = file_.metadata().integer(full(name));
  if (!value) return fallback;
  if (*value < 0 || *value >= kLargest) fail(name, str(*value, " is out of range"));
  return *value;
}

int64_t ArchMetadata::need_integer(std::string_view name) const {
  if (!file_.metadata().find(full(name))) fail(name, "is missing");
  return integer(name, 0);
}

float ArchMetadata::real(std::string_view name, float fallback) const {
  const auto value = static_cast<float>(file_.metadata().real(full(name)).value_or(fallback));
  if (!std::isfinite(value)) fail(name, str(value, " is no number to compute with"));
  return value;
}

float ArchMetadata::need_real(std::string_view name) const {
  if (!file_.metadata().find(full(name))) fail(name, "is missing");
  return real(name, 0);
}

bool ArchMetadata::boolean(std::string_view name, bool fallback) const {
  return file_.metadata().boolean(full(name)).value_or(fallback);
}

std::string ArchMetadata::text(std::string_view name, std::string_view fallback) const {
  return std::string{file_.metadata().text(full(name)).value_or(fallback)};
}

bool ArchMetadata::is_array(std::string_view name) const {
  const MetadataValue* value = file_.metadata().find(full(name));
  return value && std::holds_alternative<MetadataArray>(*value);
}

std::vector<int64_t> ArchMetadata::integers(std::string_view name) const {
  if (!is_array(name)) return {};
  return file_.metadata().integers(full(name));
}

std::vector<int64_t> ArchMetadata::per_block(std::string_view name, int64_t blocks, int64_t fallback) const {
  if (!is_array(name)) return std::vector<int64_t>(static_cast<size_t>(blocks), integer(name, fallback));
  std::vector<int64_t> values = integers(name);
  if (static_cast<int64_t>(values.size()) != blocks)
    fail(name, str("has ", values.size(), " elements for ", blocks, " blocks"));
  for (const int64_t value : values)
    if (value < 0 || value >= kLargest) fail(name, str(value, " is out of range"));
  return values;
}

Hparams read_hparams(const ArchMetadata& keys, const std::string& architecture) {
  Hparams hp;
  hp.architecture = architecture;
  hp.context = keys.need_integer("context_length");
  hp.embedding = keys.need_integer("embedding_length");
  hp.blocks = keys.need_integer("block_count");
  require(hp.blocks >= 1 && hp.blocks <= 512, keys, "block_count", str(hp.blocks, " is not within 1 to 512"));
  require(hp.embedding >= 1 && hp.embedding <= (1 << 20), keys, "embedding_length",
          str(hp.embedding, " is not within 1 to ", 1 << 20));
  const int64_t ahead = keys.integer("nextn_predict_layers", 0);
  require(ahead < hp.blocks, keys, "nextn_predict_layers", str("is ", ahead, " of ", hp.blocks, " blocks"));
  hp.layers = hp.blocks - ahead;
  hp.ffn = keys.per_block("feed_forward_length", hp.blocks, 0);
  read_heads(keys, hp);
  hp.rms_eps = keys.need_real("attention.layer_norm_rms_epsilon");
  require(hp.rms_eps >= 0, keys, "attention.layer_norm_rms_epsilon", "must not be negative");
  hp.rope = read_rope(keys, hp);
  read_experts(keys, hp);
  return hp;
}

}  // namespace snug::infer

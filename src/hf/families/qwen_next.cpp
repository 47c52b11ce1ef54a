// Qwen3-Next and Qwen 3.5: gated delta nets with a layer of full attention every few.
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/str.hpp"
#include "hf/family.hpp"
#include "hf/layer_types.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

/// Heads of the delta net: every key head serves `per_key` value heads.
struct Heads {
  int64_t keys, values, key_dim, value_dim;

  explicit Heads(const Config& config)
      : keys(config.need_integer({"linear_num_key_heads"})),
        values(config.need_integer({"linear_num_value_heads"})),
        key_dim(config.need_integer({"linear_key_head_dim"})),
        value_dim(config.need_integer({"linear_value_head_dim"})) {
    if (keys < 1 || key_dim < 1 || value_dim < 1 || values % keys != 0 || values == 0)
      config.refuse("linear_num_value_heads is no multiple of linear_num_key_heads");
  }

  int64_t per_key() const { return values / keys; }
  int64_t key_rows() const { return keys * key_dim; }
  int64_t value_rows() const { return values * value_dim; }

  /// The checkpoint's number of the n-th value head of GGUF: there first the first of every key head, then the
  /// second of every key head, and so on.
  int64_t tiled(int64_t n) const { return n % keys * per_key() + n / keys; }
};

/// Appends first rows of runs that make up `count` rows from `first` on.
void append_runs(std::vector<int64_t>& firsts, int64_t first, int64_t count, int64_t run) {
  for (int64_t row = 0; row < count; row += run) firsts.push_back(first + row);
}

// --- Qwen3-Next: rows are grouped by key head ---------------------------------------------------------------------

/// q, k, v and z of each key head become all q, all k, all v; and all z.
void split_qkvz(const Piece& piece, Output& out) {
  const Heads heads{piece.config()};
  const int64_t dk = heads.key_dim, dv = heads.per_key() * heads.value_dim, group = 2 * dk + 2 * dv;
  piece.need_shape({heads.keys * group, 0});
  const int64_t run = std::gcd(dk, dv);
  std::vector<int64_t> qkv, z;
  for (const auto& [at, count] : {std::pair{int64_t{0}, dk}, std::pair{dk, dk}, std::pair{2 * dk, dv}})
    for (int64_t k = 0; k < heads.keys; ++k) append_runs(qkv, k * group + at, count, run);
  for (int64_t k = 0; k < heads.keys; ++k) append_runs(z, k * group + 2 * dk + dv, dv, run);
  out.add(piece.name(0), selected(piece.weights(), run, std::move(qkv)));
  out.add(piece.name(1), selected(piece.weights(), run, std::move(z)));
}

// --- Qwen 3.5: value heads in another order -----------------------------------------------------------------------

/// Rows before `first` stay; behind them lie the value heads, `rows` rows each.
Tensor tiled_rows(const Tensor& from, const Heads& heads, int64_t first, int64_t rows) {
  const int64_t run = first > 0 ? std::gcd(first, rows) : rows;
  std::vector<int64_t> firsts;
  append_runs(firsts, 0, first, run);
  for (int64_t n = 0; n < heads.values; ++n) append_runs(firsts, first + heads.tiled(n) * rows, rows, run);
  return selected(from, run, std::move(firsts));
}

Tensor tiled_columns(const Tensor& from, const Heads& heads, int64_t columns) {
  std::vector<int64_t> order;
  for (int64_t n = 0; n < heads.values; ++n) append_runs(order, heads.tiled(n) * columns, columns, 1);
  return selected_columns(from, std::move(order));
}

void add_qkv(const Piece& piece, Output& out) {
  const Heads heads{piece.config()};
  piece.need_shape({2 * heads.key_rows() + heads.value_rows(), 0});
  out.add(piece.name(), tiled_rows(piece.weights(), heads, 2 * heads.key_rows(), heads.value_dim));
}

void add_z(const Piece& piece, Output& out) {
  const Heads heads{piece.config()};
  piece.need_shape({heads.value_rows(), 0});
  out.add(piece.name(), tiled_rows(piece.weights(), heads, 0, heads.value_dim));
}

void add_a_or_b(const Piece& piece, Output& out) {
  const Heads heads{piece.config()};
  piece.need_shape({heads.values, 0});
  out.add(piece.name(), tiled_rows(piece.weights(), heads, 0, 1));
}

void add_out(const Piece& piece, Output& out) {
  const Heads heads{piece.config()};
  piece.need_shape({0, heads.value_rows()});
  out.add(piece.name(), tiled_columns(piece.weights(), heads, heads.value_dim));
}

// --- small tensors ------------------------------------------------------------------------------------------------

/// One value for each value head, in GGUF's order where `tile` says that it is another.
Tensor per_head(const Piece& piece, bool tile) {
  const Heads heads{piece.config()};
  piece.need_shape({heads.values});
  return tile ? tiled_columns(piece.weights(), heads, 1) : piece.weights();
}

template <bool kTile>
void add_decay(const Piece& piece, Output& out) {
  out.add(piece.name(), changed(per_head(piece, kTile), [](std::span<float> logs) {
            for (float& log : logs) log = static_cast<float>(-std::exp(static_cast<double>(log)));
          }));
}

template <bool kTile>
void add_step(const Piece& piece, Output& out) {
  out.add(piece.name(), per_head(piece, kTile));
}

/// [channels, 1, taps], or MLX's [channels, taps, 1], becomes [channels, taps].
template <bool kTile>
void add_convolution(const Piece& piece, Output& out) {
  const Heads heads{piece.config()};
  const int64_t channels = 2 * heads.key_rows() + heads.value_rows();
  if (!stores_whole_norms(piece.checkpoint.sources)) piece.need_shape({channels, 1, 0});
  const Tensor& from = piece.weights();
  const Tensor taps = reshaped(from, {from.weights() / channels, channels});
  out.add(piece.name(), kTile ? tiled_rows(taps, heads, 2 * heads.key_rows(), heads.value_dim) : taps);
}

// --- names --------------------------------------------------------------------------------------------------------

constexpr Rule kBoth[] = {
    {"post_attention_layernorm", "post_attention_norm"},
    {"linear_attn.norm", "ssm_norm"},
    {"eh_proj", "nextn.eh_proj"},
    {"enorm", "nextn.enorm"},
    {"hnorm", "nextn.hnorm"},
    {"shared_head.norm", "nextn.shared_head_norm"},
    {"shared_head.head", "nextn.shared_head_head"},
    {"embed_tokens", "nextn.embed_tokens"},
};

constexpr Rule kNext[] = {
    {"linear_attn.in_proj_qkvz", "attn_qkv attn_gate", split_qkvz},
    {"linear_attn.in_proj_ba", "ssm_ba"},
    {"linear_attn.conv1d", "ssm_conv1d", add_convolution<false>},
    {"linear_attn.A_log", "ssm_a", add_decay<false>},
    {"linear_attn.dt_bias", "ssm_dt.bias", add_step<false>},
    {"linear_attn.out_proj", "ssm_out"},
};

constexpr Rule kThreeFive[] = {
    {"linear_attn.in_proj_qkv", "attn_qkv", add_qkv},
    {"linear_attn.in_proj_z", "attn_gate", add_z},
    {"linear_attn.in_proj_b", "ssm_beta", add_a_or_b},
    {"linear_attn.in_proj_a", "ssm_alpha", add_a_or_b},
    {"linear_attn.conv1d", "ssm_conv1d", add_convolution<true>},
    {"linear_attn.A_log", "ssm_a", add_decay<true>},
    {"linear_attn.dt_bias", "ssm_dt.bias", add_step<true>},
    {"linear_attn.out_proj", "ssm_out", add_out},
};

struct Renamed {
  std::string_view from, to;
};
constexpr Renamed kPredictor[] = {{"mtp.fc.", "eh_proj."},
                                  {"mtp.pre_fc_norm_embedding.", "enorm."},
                                  {"mtp.pre_fc_norm_hidden.", "hnorm."},
                                  {"mtp.norm.", "shared_head.norm."}};

/// The layers that predict further tokens, "mtp.layers.0.x", come behind the others.
std::string rename_predictors(const std::string& name, int64_t layers) {
  constexpr std::string_view kLayers = "mtp.layers.";
  for (const Renamed& row : kPredictor)
    if (name.starts_with(row.from)) return str("layers.", layers, ".", row.to, name.substr(row.from.size()));
  if (!name.starts_with(kLayers)) return name;
  int64_t layer = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kLayers.size(), end, layer);
  if (error != std::errc{} || layer < 0 || layer > 1000) return name;
  return str("layers.", layers + layer, std::string_view{stop, static_cast<size_t>(end - stop)});
}

// --- keys ---------------------------------------------------------------------------------------------------------

/// GGUF knows where the layers of full attention are by a period alone.
void check_layer_types(const Config& config, int64_t period) {
  const std::vector<std::string> types = config.strings({"layer_types"});
  for (size_t layer = 0; layer < types.size(); ++layer) {
    const bool full = (static_cast<int64_t>(layer) + 1) % period == 0;
    if (types[layer] != (full ? "full_attention" : "linear_attention"))
      config.cannot_be_said(str("layer ", layer, " is of the type '", types[layer], "'; GGUF can only say that every ", period,
                        "th layer has full attention"));
  }
}

/// What layer_types says counts, as in transformers; else full_attention_interval.
int64_t attention_period(const Config& config) {
  const int64_t said = std::max<int64_t>(1, config.integer({"full_attention_interval"}).value_or(4));
  const std::vector<std::string> types = config.strings({"layer_types"});
  return types.empty() ? said : std::max<int64_t>(1, period_of(types, said));
}

void common_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  const Config& config = checkpoint.config;
  const Heads heads{config};
  add_common_keys(config, blocks, keys);
  keys.number("ssm.conv_kernel", config.need_integer({"linear_conv_kernel_dim"}));
  keys.number("ssm.state_size", heads.key_dim);
  keys.number("ssm.group_count", heads.keys);
  keys.number("ssm.time_step_rank", heads.values);
  keys.number("ssm.inner_size", heads.value_rows());
  const int64_t period = attention_period(config);
  check_layer_types(config, period);
  keys.number("full_attention_interval", period);
  keys.number("rope.dimension_count",
              config.rotated(config.head_dim(), config.rope_real("partial_rotary_factor").value_or(0.25)));
  keys.number("expert_feed_forward_length", config.integer({"moe_intermediate_size"}));
  keys.number("expert_shared_feed_forward_length", config.integer({"shared_expert_intermediate_size"}));
  if (checkpoint.predictors > 0) keys.number("nextn_predict_layers", checkpoint.predictors);
}

void three_five_keys(const Checkpoint& checkpoint, int64_t blocks, Keys& keys) {
  common_keys(checkpoint, blocks, keys);
  if (!checkpoint.config.rope().contains("mrope_section")) keys.numbers("rope.dimension_sections", {11, 11, 10, 0});
}

constexpr std::string_view kNeeded = "attn_norm post_attention_norm";

}  // namespace

const Family kQwen3Next{
    .architecture = "qwen3next",
    .rules = {kNext, kBoth, kAttentionRules, kExpertRules, kDenseRules},
    .keys = common_keys,
    .norms_plus_one = true,
    .keeps_predictors = true,
    .needed = kNeeded,
    .rename = rename_predictors,
};

const Family kQwen35{
    .architecture = "qwen35",
    .rules = {kThreeFive, kBoth, kAttentionRules, kDenseRules},
    .keys = three_five_keys,
    .norms_plus_one = true,
    .keeps_predictors = true,
    .needed = kNeeded,
    .rename = rename_predictors,
};

const Family kQwen35Moe{
    .architecture = "qwen35moe",
    .rules = {kThreeFive, kBoth, kAttentionRules, kExpertRules},
    .keys = three_five_keys,
    .norms_plus_one = true,
    .keeps_predictors = true,
    .needed = kNeeded,
    .rename = rename_predictors,
};

}  // namespace snug::hf

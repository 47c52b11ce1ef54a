#include "hf/rope.hpp"

#include <algorithm>
#include <cmath>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;

std::optional<double> real_in(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return {};
  return found->get<double>();
}

bool is_longrope(const std::string& type) { return type == "longrope" || type == "su"; }

double original_context(const Config& config) {
  const auto original = config.rope_real("original_max_position_embeddings");
  if (original && *original >= 1 && *original <= INT32_MAX) return *original;
  return static_cast<double>(config.need_integer({"max_position_embeddings"}));
}

void add_bases(const Config& config, Keys& keys) {
  keys.real("rope.freq_base", config.rope_real("rope_theta"));
  keys.real("rope.freq_base_swa", real_in(config.sliding_rope(), "rope_theta"));
}

void add_sections(const Config& config, Keys& keys) {
  const auto sections = config.rope().find("mrope_section");
  if (sections == config.rope().end() || !sections->is_array()) return;
  std::vector<int64_t> numbers;
  for (const json& n : *sections)
    if (n.is_number_integer()) numbers.push_back(n.get<int64_t>());
  numbers.resize(4);
  keys.numbers("rope.dimension_sections", numbers);
}

/// The strength of attention has two names.
std::optional<double> said_strength(const Config& config) {
  const auto factor = config.rope_real("attention_factor");
  return factor ? factor : config.rope_real("attn_factor");
}

void add_yarn(const Config& config, Keys& keys) {
  keys.text("rope.scaling.type", "yarn");
  keys.real("rope.scaling.factor", context_factor(config));
  keys.number("rope.scaling.original_context_length", static_cast<int64_t>(original_context(config)));
  keys.real("rope.scaling.yarn_ext_factor", config.rope_real("extrapolation_factor"));
  keys.real("rope.scaling.yarn_attn_factor", said_strength(config));
  keys.real("rope.scaling.yarn_beta_fast", config.rope_real("beta_fast"));
  keys.real("rope.scaling.yarn_beta_slow", config.rope_real("beta_slow"));
  if (keys.architecture() != "mistral3" && keys.architecture() != "deepseek2")
    correct_strength(config, yarn_strength(context_factor(config), 1), keys);
}

/// The values of one of LongRoPE's lists.
std::vector<float> divisors(const Config& config, const char* name, int64_t pairs) {
  const auto found = config.rope().find(name);
  std::vector<float> values;
  if (found == config.rope().end() || !found->is_array()) return values;
  for (const json& value : *found) {
    if (!value.is_number()) config.refuse(str(name, " holds ", quoted(value.dump()), ", no number"));
    values.push_back(value.get<float>());
  }
  if (static_cast<int64_t>(values.size()) != pairs)
    config.refuse(str(name, " has ", values.size(), " values, not one for each of the ", pairs, " rotated pairs"));
  return values;
}

double yarn_ratio(const Config& config) {
  const double factor = context_factor(config), k = config.rope_real("mscale").value_or(0);
  const double all = config.rope_real("mscale_all_dim").value_or(0);
  return k != 0 && all != 0 ? yarn_strength(factor, k) / yarn_strength(factor, all) : yarn_strength(factor, 1);
}

double longrope_ratio(const Config& config) {
  const double factor = context_factor(config);
  return factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original_context(config)));
}

// --- what GGUF cannot say ------------------------------------------------------------------------------------------

bool is_known(std::string_view type, std::string_view architecture) {
  constexpr std::string_view kEverywhere[] = {"default", "linear", "dynamic", "yarn", "mrope"};
  if (std::ranges::find(kEverywhere, type) != std::end(kEverywhere)) return true;
  const bool is_llama = architecture == "llama" || architecture == "mistral3";
  if (type == "llama3") return is_llama;
  if (type == "longrope" || type == "su") return is_llama || architecture == "phi3";
  return type == "proportional" && architecture == "gemma4";
}

/// Loaders take these numbers for granted.
void check_bounds(const Config& config) {
  constexpr std::pair<const char*, double> kUsual[] = {{"beta_fast", 32}, {"beta_slow", 1}};
  for (const auto& [key, usual] : kUsual)
    if (const double value = config.rope_real(key).value_or(usual); value != 0 && value != usual)
      config.cannot_be_said(str("yarn's ", key, " is ", value, ", which GGUF's loaders of this architecture take for ", usual));
}

void check_share(const Config& config, std::string_view architecture) {
  constexpr std::string_view kOwn[] = {"phi3", "glm4moe", "gemma4", "qwen3next", "qwen35", "qwen35moe"};
  if (std::ranges::find(kOwn, architecture) != std::end(kOwn)) return;
  if (config.rope_real("partial_rotary_factor").value_or(1) != 1)
    config.cannot_be_said("only a part of each head is rotated (partial_rotary_factor), which GGUF cannot say of this "
                  "architecture");
}

void check_sliding(const Config& config) {
  const auto type = config.sliding_rope().find("rope_type");
  if (type != config.sliding_rope().end() && *type != "default")
    config.cannot_be_said(str("layers with a window scale their rotary embeddings (", quoted(type->dump()),
                      "), which GGUF cannot say"));
}

}  // namespace

double yarn_strength(double factor, double k) { return factor <= 1 ? 1 : 1 + 0.1 * k * std::log(factor); }

double context_factor(const Config& config) {
  if (const auto factor = config.rope_real("factor")) return *factor;
  return static_cast<double>(config.need_integer({"max_position_embeddings"})) / original_context(config);
}

double rope_strength(const Config& config) {
  const std::string type = config.rope_type();
  if (type != "yarn" && !is_longrope(type)) return 1;
  if (const auto said = said_strength(config)) return *said;
  return type == "yarn" ? yarn_ratio(config) : longrope_ratio(config);
}

void correct_strength(const Config& config, double theirs, Keys& keys) {
  const double by = rope_strength(config) / theirs;
  if (std::abs(by - 1) > 1e-7) keys.real("rope.scaling.attn_factor", by);
}

void add_rope(const Config& config, Keys& keys) {
  add_bases(config, keys);
  add_sections(config, keys);
  add_rope_scaling(config, keys);
}

void add_rope_scaling(const Config& config, Keys& keys) {
  const std::string type = config.rope_type();
  if (type == "linear" && config.rope_real("factor")) {
    keys.text("rope.scaling.type", "linear");
    keys.real("rope.scaling.factor", config.rope_real("factor"));
  } else if (type == "yarn") {
    add_yarn(config, keys);
  } else if (is_longrope(type)) {
    keys.text("rope.scaling.type", "longrope");
    keys.number("rope.scaling.original_context_length", static_cast<int64_t>(original_context(config)));
    correct_strength(config, 1, keys);
  }
}

void add_long_and_short_factors(const Config& config, int64_t pairs, Output& out) {
  if (!config.rope().contains("long_factor")) return;
  out.add("rope_factors_long.weight", tensor_of(divisors(config, "long_factor", pairs), config.where()));
  out.add("rope_factors_short.weight", tensor_of(divisors(config, "short_factor", pairs), config.where()));
}

void check_rope(const Config& config, std::string_view architecture, std::vector<std::string>& remarks) {
  const std::string type = config.rope_type();
  if (!is_known(type, architecture))
    config.cannot_be_said(str("rotary embeddings are scaled by ", quoted(type), ", which GGUF cannot say of the architecture ",
                      architecture));
  if (type == "proportional" && config.rope_real("factor").value_or(1) != 1)
    config.cannot_be_said("proportional rotary embeddings are stretched (factor), which GGUF cannot say");
  if (type == "yarn" && architecture != "mistral3") check_bounds(config);
  check_share(config, architecture);
  check_sliding(config);
  if (type == "dynamic")
    remarks.push_back("the scaling of rotary embeddings (dynamic) is left out, as GGUF has no place for it: texts longer "
                      "than max_position_embeddings are computed otherwise");
  const auto truncate = config.rope().find("truncate");
  if (type == "yarn" && truncate != config.rope().end() && *truncate == false)
    remarks.push_back("yarn's truncate = false is left out: GGUF has no place for it, and its loaders round the bounds "
                      "of the scaled frequencies");
}

}  // namespace snug::hf

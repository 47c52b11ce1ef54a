// rope_scaling of config.json, worked out of keys and of tensors of divisors.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/str.hpp"
#include "mlx/from_gguf/class_config.hpp"

namespace snug::mlx {
namespace {

using nlohmann::json;

json yarn(const Keys& keys) {
  json scaling{{"type", "yarn"}, {"rope_type", "yarn"}};
  const auto put = [&](const char* word, std::string_view key) {
    if (const auto value = keys.real(key)) scaling[word] = *value;
  };
  put("factor", "rope.scaling.factor");
  put("beta_fast", "rope.scaling.yarn_beta_fast");
  put("beta_slow", "rope.scaling.yarn_beta_slow");
  put("attention_factor", "rope.scaling.yarn_attn_factor");
  scaling["original_max_position_embeddings"] =
      keys.integer("rope.scaling.original_context_length").value_or(keys.shape().context);
  // A tenth of the exponent of attention's scale; the publishers' files have it of the rotation, too.
  if (const auto log = keys.real("rope.scaling.yarn_log_multiplier")) {
    const double scale = std::round(*log * 1e7) / 1e6;
    scaling["mscale"] = scaling["mscale_all_dim"] = scale;
  }
  return scaling;
}

/// Llama 3's way to stretch long waves, as its first publisher has the bounds: 1 and 4 of the original
/// context.
struct Stretch {
  double factor = 0, original = 0;
  static constexpr double kLow = 1, kHigh = 4;

  double divisor(double wave) const {
    if (wave < original / kHigh) return 1;
    if (wave > original / kLow) return factor;
    const double smooth = (original / wave - kLow) / (kHigh - kLow);
    return 1 / ((1 - smooth) / factor + smooth);
  }
};

std::vector<double> waves(const Keys& keys, size_t pairs) {
  const double base = keys.real("rope.freq_base").value_or(10000);
  std::vector<double> lengths;
  for (size_t i = 0; i < pairs; ++i)
    lengths.push_back(2 * std::numbers::pi *
                      std::pow(base, static_cast<double>(i) / static_cast<double>(pairs)));
  return lengths;
}

/// The context that a divisor between the bounds tells; the usual one where none lies there.
Stretch stretch_of(std::span<const float> divisors, std::span<const double> waves) {
  Stretch stretch{std::ranges::max(divisors), 8192};
  for (size_t i = 0; i < divisors.size(); ++i)
    if (const double d = divisors[i]; d > 1 && d < stretch.factor) {
      const double smooth = (1 / d - 1 / stretch.factor) / (1 - 1 / stretch.factor);
      stretch.original = std::round(waves[i] * (Stretch::kLow + smooth * (Stretch::kHigh - Stretch::kLow)));
      break;
    }
  return stretch;
}

json llama3(const Keys& keys, const Tensor& tensor) {
  const std::vector<float> divisors = tensor.values();
  const std::vector<double> lengths = waves(keys, divisors.size());
  const Stretch stretch = stretch_of(divisors, lengths);
  for (size_t i = 0; i < divisors.size(); ++i)
    if (std::abs(stretch.divisor(lengths[i]) / static_cast<double>(divisors[i]) - 1) > 1e-4)
      keys.refuse("the divisors of rotary frequencies are none that config.json could say");
  return {{"rope_type", "llama3"},
          {"type", "llama3"},
          {"factor", stretch.factor},
          {"low_freq_factor", Stretch::kLow},
          {"high_freq_factor", Stretch::kHigh},
          {"original_max_position_embeddings", stretch.original}};
}

json longrope(const Keys& keys, const Tensor& longer, const Tensor& shorter) {
  return {{"rope_type", "longrope"},
          {"type", "longrope"},
          {"long_factor", longer.values()},
          {"short_factor", shorter.values()},
          {"original_max_position_embeddings", keys.need_integer("rope.scaling.original_context_length")}};
}

}  // namespace

void add_rope_scaling(const Keys& keys, json& config) {
  const std::string type = keys.text("rope.scaling.type").value_or("none");
  const Tensor *divisors = keys.model().find("rope_freqs.weight"),
               *longer = keys.model().find("rope_factors_long.weight"),
               *shorter = keys.model().find("rope_factors_short.weight");
  if (longer && shorter)
    config["rope_scaling"] = longrope(keys, *longer, *shorter);
  else if (divisors && keys.shape().architecture == "llama")
    config["rope_scaling"] = llama3(keys, *divisors);
  else if (divisors && keys.shape().architecture != "gemma4")
    keys.refuse("rotary frequencies have divisors that are not known of this architecture");
  else if (type == "yarn")
    config["rope_scaling"] = yarn(keys);
  else if (type == "linear")
    config["rope_scaling"] = {{"type", "linear"},
                              {"rope_type", "linear"},
                              {"factor", keys.real("rope.scaling.factor").value_or(1)}};
  else if (type != "none")
    keys.refuse(str("rotary frequencies are scaled by '", type, "', which is not known"));
}

}  // namespace snug::mlx

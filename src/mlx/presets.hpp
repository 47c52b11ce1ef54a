#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "snug/format.hpp"

namespace snug::mlx {

/// What a published recipe sees of a module that can be quantized.
struct PresetModule {
  std::string_view path;  // in MLX's tree: "language_model.model.layers.3.mlp.down_proj"
  int64_t cols = 0;       // inputs: the last dimension
};

/// A published way of choosing formats by the names of modules. docs/mlx-presets.md has their rules.
struct Preset {
  enum class Kind : uint8_t { standard, mixed, mixed_4_8, config_i, unsloth, classes };
  /// What Config-I does to routers in its readings.
  enum class Routers : uint8_t { unquantized, four, eight, four_and_eight_at_the_ends };
  /// Which floating-point mode takes the place of affine codes of the same bits.
  enum class Promotion : uint8_t { none, mxfp, nvfp };

  std::string name;   // "ud_mxfp4"
  std::string alias{};  // "ud_q4_mxfp", or empty
  Kind kind{};
  FormatId usual{};       // of most modules: the top level of config.json's quantization block
  int low = 4, high = 8;  // bits of mixed; of unsloth low is the base
  Routers routers = Routers::unquantized;
  Promotion promotion = Promotion::none;
  bool later = false;  // unsloth: output projections in 8 bits, which were unquantized at first
};

/// Every preset, those of one kind together.
std::span<const Preset> presets();
std::vector<std::string_view> preset_names();

/// By name or alias, case-insensitive; nullptr if there is none.
const Preset* find_preset(std::string_view name);

/// The format of each module of a whole model, in the order given; nothing: it is left unquantized. Scales are bf16
/// (with_scales_of() gives others). Modules whose columns do not fill the groups are left unquantized, as mlx_lm does.
std::vector<std::optional<FormatId>> preset_formats(const Preset& preset, std::span<const PresetModule> modules);

}  // namespace snug::mlx

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "snug/format.hpp"

namespace snug {

/// A llama-quantize file type: what `--preset` reproduces tensor by tensor. docs/recipe.md says how.
struct Preset {
  std::string_view name;  // "q4_k_m"
  uint32_t file_type;     // general.file_type
  FormatId base;          // of every tensor without a rule of its own
};

/// Every preset, in the order of file_type.
std::span<const Preset> presets();
std::vector<std::string_view> preset_names();

/// By name, case-insensitive; nullptr if there is none. llama-quantize's short names count ("q4_k" is
/// q4_k_m).
const Preset* find_preset(std::string_view name);

/// What a preset asks of the model. 0 where the file does not say.
struct PresetModel {
  std::string_view architecture;
  int64_t layers = 0, heads = 0, heads_kv = 0, experts = 0;
  bool has_imatrix = false;
};

struct PresetTensor {
  std::string_view name;
  int64_t cols = 0, matrices = 1;  // matrices: experts of a 3-D tensor
  FormatId source{};
  bool quantizable = false;  // as is_quantizable says; others keep `source`
};

/// The format of each tensor of a whole model, in the order given. llama-quantize counts layers as tensors
/// pass by in file order, so a rule can only be decided with all of them at hand. Rows that do not fit get
/// llama-quantize's fallback, and f16 where it would give up.
std::vector<FormatId> preset_formats(const Preset& preset, const PresetModel& model,
                                     std::span<const PresetTensor> tensors);

/// What llama-quantize puts in place of `format` where rows of `cols` do not fit it; f16 where nothing does.
FormatId fitting_format(FormatId format, int64_t cols);

}  // namespace snug

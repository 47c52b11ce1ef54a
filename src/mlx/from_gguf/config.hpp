#pragma once

#include <nlohmann/json.hpp>

#include "snug/model.hpp"

namespace snug::mlx {

/// What config.json would say of a model that was read from a GGUF file: the words of transformers' class for
/// its architecture, worked out of GGUF's keys and tensors. Throws Error where the keys say something that
/// those words cannot, or mlx_lm's class does not compute.
nlohmann::json config_of_keys(const ModelSource& model);

/// The ids that end a text or a turn, the usual one first; none where the model has no tokenizer.
std::vector<int64_t> end_tokens(const ModelSource& model);

}  // namespace snug::mlx

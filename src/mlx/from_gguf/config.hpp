#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "snug/model.hpp"

namespace snug::mlx {

/// What config.json would say of a model that was read from a GGUF file: the words of transformers' class for
/// its architecture, worked out of GGUF's keys and tensors. Throws Error where the keys say something that
/// those words cannot, or mlx_lm's class does not compute.
nlohmann::json config_of_keys(const ModelSource& model);

/// f32 has 1e-6 as 9.99999997e-7: the shortest decimal that is the same f32 is what was meant.
double meant_by(double f32);

/// The ids that end a text or a turn, the usual one first; none where the model has no tokenizer.
std::vector<int64_t> end_tokens(const ModelSource& model);

}  // namespace snug::mlx

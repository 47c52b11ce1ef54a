#pragma once

#include <string>
#include <vector>

#include "imatrix/importance.hpp"
#include "snug/model.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// The choices of a published recipe for MLX (mlx/presets.hpp), by the tensors of the model; their loss is unknown. None
/// of those recipes looks at importance for its choices: it is for the encoders. Throws Error of Fault::usage that lists
/// the presets where the name is none's.
Recipe mlx_preset_recipe(const ModelSource& model, const Importance* importance, const std::string& preset);

/// A module that can be quantized, as a recipe has it written.
struct ModuleLine {
  std::string path;
  std::vector<int64_t> shape;
  FormatId format{};   // bf16 or f16 where it is not quantized
  int64_t weights = 0;
  int64_t bytes = 0;   // of its codes, scales and biases
};

/// A recipe by the modules of MLX's tree.
struct ModuleTable {
  std::vector<ModuleLine> modules;               // that can be quantized, in the tree's order
  int64_t other_weights = 0, other_bytes = 0;    // norms and the like
  int64_t tensor_bytes() const;                  // data of all tensors
  int64_t weights() const;                       // of all tensors
  double bits_per_weight() const;                // all bytes for all weights
  double raw_bits_per_weight() const;            // codes alone, of the modules alone: as cards count
};
ModuleTable module_table(const ModelSource& model, const Recipe& recipe);

/// Bits of a code: 4 of a format with 4.5 bits a weight.
int code_bits(FormatId format);

}  // namespace snug

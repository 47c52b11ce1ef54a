#pragma once

#include <functional>
#include <string>

#include "snug/model.hpp"
#include "imatrix/importance.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// Recipes that nobody measured: unless every tensor is copied, their loss is unknown.

/// Every tensor as it is, in the order of the output file (llama-quantize's).
Recipe copy_recipe(const ModelSource& model);

/// `format` wherever it fits; elsewhere what llama-quantize falls back to or, for MLX, the same in smaller groups, or the
/// tensor as it is.
Recipe uniform_recipe(const ModelSource& model, const std::string& format, const std::string& runtime = "llama.cpp");

/// llama.cpp's mix of that name, as llama-quantize would choose with the same importance.
Recipe preset_recipe(const ModelSource& model, const Importance* importance, const std::string& preset);

/// The formats that `choose` gives each tensor of the model, by its place in the output; bytes are filled in.
Recipe recipe_with(const ModelSource& model, const Importance* importance, std::string method,
                   const std::function<FormatId(size_t, const Tensor&)>& choose);

/// Throws Error if a tensor that the recipe changes is quantized already (unless allowed) or cannot be decoded.
void check_sources(const ModelSource& model, const Recipe& recipe, bool allow_requantize);

}  // namespace snug

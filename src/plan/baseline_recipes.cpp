#include "plan/baseline_recipes.hpp"

#include <algorithm>

#include "base/closest.hpp"
#include "base/str.hpp"
#include "artifact/tensor_order.hpp"
#include "encode/candidates.hpp"
#include "mlx/limits.hpp"
#include "model/roles.hpp"
#include "quant/mlx_modes.hpp"
#include "recipe/presets.hpp"
#include "recipe/target.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

std::string join(const auto& names) {
  std::string text;
  for (const auto& name : names) text += str(text.empty() ? "" : ", ", name);
  return text;
}

/// The mode with the largest group that fits, at most the one asked for.
FormatId fitting_mlx_format(FormatId wanted, const Tensor& tensor, const mlx::Limits& limits) {
  MlxMode mode = *mlx_mode_of(wanted);
  for (; mode.group_size >= 16; mode.group_size /= 2)
    if (const auto format = mlx_format_of(mode, tensor.format);
        format && find_format(*format)->fits(tensor.cols()) && limits.allow(tensor.name, *format))
      return *format;
  return tensor.format;
}

}  // namespace

Recipe copy_recipe(const ModelSource& model) {
  const ModelShape shape = shape_of(model);
  Recipe recipe;
  recipe.made_by = "snug " SNUG_VERSION;
  recipe.architecture = shape.architecture;
  recipe.model_name = shape.name;
  recipe.model_digest = model.shape_digest().hex();
  recipe.method = "copy";
  for (const Tensor* tensor : in_recipe_order(model)) {
    recipe.tensors.push_back({std::string(tensor->name), tensor->format, tensor->bytes(), 0.0, true});
    recipe.tensor_bytes += tensor->bytes();
    recipe.weights += tensor->weights();
  }
  return recipe;
}

Recipe recipe_with(const ModelSource& model, const Importance* importance, std::string method,
                   const std::function<FormatId(size_t, const Tensor&)>& choose) {
  Recipe recipe = copy_recipe(model);
  recipe.method = std::move(method);
  if (importance) recipe.imatrix_digest = importance_digest(*importance);
  recipe.tensor_bytes = 0;
  for (size_t i = 0; i < recipe.tensors.size(); ++i) {
    RecipeTensor& tensor = recipe.tensors[i];
    const Tensor& source = *model.find(tensor.name);
    tensor.format = choose(i, source);
    tensor.copied = tensor.format == source.format;
    if (!tensor.copied) {
      const Format* format = find_format(tensor.format);
      if (!format) throw Error{str("snug cannot encode ", format_name(tensor.format)), recipe.method, "choose another"};
      tensor.bytes = format->row_bytes(source.cols()) * source.rows();
      tensor.unweighted = importance && !importance->find(tensor.name);
    }
    recipe.tensor_bytes += tensor.bytes;
  }
  recipe.loss_known = std::ranges::all_of(recipe.tensors, &RecipeTensor::copied);
  return recipe;
}

Recipe uniform_recipe(const ModelSource& model, const std::string& name, const std::string& runtime) {
  const Family family = find_target(runtime).family;
  const Format* format = find_format(name);
  if (!format || format->family != family) {
    std::vector<std::string_view> known;
    for (const Format& f : formats(family)) known.push_back(f.name);
    if (find_preset(name))
      throw Error{str("'", name, "' is a preset, not a single format"), "the format", str("name it as a preset: ", name), Fault::usage};
    throw Error{str("unknown format '", name, "'"), "the format",
                did_you_mean(name, known, str("known are ", join(known))), Fault::usage};
  }
  const std::vector<mlx::Module> modules = family == Family::mlx ? mlx::modules_of(model) : std::vector<mlx::Module>{};
  const mlx::Limits limits{modules};
  const auto fitting = [&](const Tensor& tensor) {
    return family == Family::mlx ? fitting_mlx_format(format->id, tensor, limits) : fitting_format(format->id, tensor.cols());
  };
  Recipe recipe = recipe_with(model, nullptr, str("uniform ", format->name), [&](size_t, const Tensor& tensor) {
    return is_quantizable(tensor) ? fitting(tensor) : tensor.format;
  });
  recipe.runtime = runtime;
  return recipe;
}

Recipe preset_recipe(const ModelSource& model, const Importance* importance, const std::string& name) {
  const Preset* preset = find_preset(name);
  if (!preset)
    throw Error{str("unknown preset '", name, "'"), "the preset",
                did_you_mean(name, preset_names(), str("known are ", join(preset_names()))), Fault::usage};
  const ModelShape shape = shape_of(model);
  const Recipe order = copy_recipe(model);  // llama-quantize counts layers in the order of its output
  std::vector<PresetTensor> tensors;
  for (const RecipeTensor& tensor : order.tensors) {
    const Tensor& source = *model.find(tensor.name);
    tensors.push_back({tensor.name, source.cols(), source.experts(), source.format, is_quantizable(source)});
  }
  const std::vector<FormatId> chosen = preset_formats(
      *preset, {shape.architecture, shape.layers, shape.heads, shape.heads_kv, shape.experts, importance != nullptr}, tensors);
  return recipe_with(model, importance, str("preset ", preset->name),
                      [&](size_t i, const Tensor&) { return chosen[i]; });
}

void check_sources(const ModelSource& model, const Recipe& recipe, bool allow_requantize) {
  for (const RecipeTensor& tensor : recipe.tensors) {
    const Tensor* source = model.find(tensor.name);
    if (source && source->format != tensor.format) check_source(*source, model.path(), allow_requantize);
  }
}

}  // namespace snug

#include "plan/mlx_recipe.hpp"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/str.hpp"
#include "mlx/limits.hpp"
#include "mlx/modules.hpp"
#include "mlx/presets.hpp"
#include "mlx/stored.hpp"
#include "plan/baseline_recipes.hpp"
#include "quant/mlx_modes.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

const mlx::Preset& need_preset(const std::string& name) {
  if (const mlx::Preset* preset = mlx::find_preset(name)) return *preset;
  std::string known;
  for (const std::string_view one : mlx::preset_names()) known += str(known.empty() ? "" : ", ", one);
  throw Error{str("unknown preset '", name, "' for MLX"), "the preset", str("known are ", known), Fault::usage};
}

/// By the tensors' names. Halves of one tensor always have one format: no recipe tells gates from ups.
std::map<std::string_view, FormatId> formats_by_tensor(const std::vector<mlx::Module>& modules,
                                                       const mlx::Preset& preset) {
  std::vector<mlx::PresetModule> quantizable;
  std::vector<const Tensor*> tensors;
  for (const mlx::Module& module : modules) {
    if (!module.quantizable) continue;
    quantizable.push_back({module.path, module.cols()});
    tensors.push_back(module.tensor);
  }
  // Routers are f32 by now; scales are of the type that the model has.
  const bool is_f16 = std::ranges::any_of(tensors, [](const Tensor* t) { return t->format == FormatId::f16; });
  const FormatId scales = is_f16 ? FormatId::f16 : FormatId::bf16;
  const auto chosen = mlx::preset_formats(preset, quantizable);
  const mlx::Limits limits{modules};
  std::map<std::string_view, FormatId> formats;
  for (size_t i = 0; i < chosen.size(); ++i)
    if (chosen[i] && limits.allow(tensors[i]->name, *chosen[i])) formats[tensors[i]->name] = with_scales_of(*chosen[i], scales);
  return formats;
}

}  // namespace

int code_bits(FormatId format) {
  const auto mode = mlx_mode_of(format);
  return mode ? mode->bits : static_cast<int>(find_format(format)->bits_per_weight());
}

Recipe mlx_preset_recipe(const ModelSource& model, const Importance* importance, const std::string& name) {
  const mlx::Preset& preset = need_preset(name);
  const auto formats = formats_by_tensor(mlx::modules_of(model), preset);
  Recipe recipe = recipe_with(model, importance, str("preset ", preset.name), [&](size_t, const Tensor& tensor) {
    const auto found = formats.find(tensor.name);
    return found == formats.end() ? tensor.format : found->second;
  });
  recipe.runtime = "mlx";
  return recipe;
}

ModuleTable module_table(const ModelSource& model, const Recipe& recipe) {
  std::map<std::string_view, FormatId> formats;
  for (const RecipeTensor& tensor : recipe.tensors) formats[tensor.name] = tensor.format;
  ModuleTable table;
  const std::vector<mlx::Module> modules = mlx::modules_of(model);
  for (size_t i = 0; i < modules.size(); ++i) {
    const mlx::Module& module = modules[i];
    if (mlx::continues(modules, i)) continue;  // one line, of the whole module
    const FormatId chosen = formats.at(module.tensor->name);
    const FormatId format =
        module.keeps_f32 ? FormatId::f32 : mlx::stored_format(chosen, FormatId::bf16, module.tensor->name);
    const int64_t bytes = find_format(format)->row_bytes(module.cols()) * module.rows();
    if (module.quantizable) {
      table.modules.push_back({module.path, module.shape, format, module.weights(), bytes});
    } else {
      table.other_weights += module.weights();
      table.other_bytes += bytes;
    }
  }
  return table;
}

int64_t ModuleTable::tensor_bytes() const {
  return std::transform_reduce(modules.begin(), modules.end(), other_bytes, std::plus{},
                               [](const ModuleLine& line) { return line.bytes; });
}

int64_t ModuleTable::weights() const {
  return std::transform_reduce(modules.begin(), modules.end(), other_weights, std::plus{},
                               [](const ModuleLine& line) { return line.weights; });
}

double ModuleTable::bits_per_weight() const {
  return weights() ? 8.0 * static_cast<double>(tensor_bytes()) / static_cast<double>(weights()) : 0;
}

double ModuleTable::raw_bits_per_weight() const {
  double bits = 0, all = 0;
  for (const ModuleLine& line : modules) {
    bits += static_cast<double>(line.weights) * code_bits(line.format);
    all += static_cast<double>(line.weights);
  }
  return all > 0 ? bits / all : 0;
}

}  // namespace snug

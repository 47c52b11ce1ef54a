#include "plan/planned_model.hpp"

#include <algorithm>

#include "artifact/gguf_artifact.hpp"
#include "model/roles.hpp"
#include "plan/baseline_recipes.hpp"

namespace snug {
namespace {

RecipeTensor copy_of(const ProfiledTensor& tensor) {
  const BlockShape shape = block_shape(tensor.source);
  return {tensor.name, tensor.source, tensor.cols / shape.block_weights * shape.block_bytes * tensor.rows, 0, true};
}

Recipe copy_recipe(const SavedProfile& saved) {
  Recipe recipe;
  recipe.architecture = saved.architecture;
  recipe.model_name = saved.model_name;
  recipe.method = "copy";
  recipe.weights = saved.profile.weights();
  for (const ProfiledTensor& tensor : saved.profile.tensors) recipe.tensors.push_back(copy_of(tensor));
  for (const UnquantizedTensor& tensor : saved.profile.fixed)
    recipe.tensors.push_back({tensor.name, tensor.format, tensor.bytes, 0, true});
  for (const RecipeTensor& tensor : recipe.tensors) recipe.tensor_bytes += tensor.bytes;
  return recipe;
}

}  // namespace

PlannedModel planned_model(const ModelSource& model, const Importance* importance, std::string_view runtime) {
  const ModelShape shape = shape_of(model);
  return {copy_recipe(model), shape.experts, shape.experts_used, shape.tied_output,
          make_artifact(model, importance, runtime)};
}

PlannedModel planned_model(const SavedProfile& saved) {
  const bool has_head = std::ranges::any_of(
      saved.profile.tensors, [](const ProfiledTensor& tensor) { return role_of(tensor.name) == Role::output; });
  return {copy_recipe(saved), saved.experts, saved.experts, !has_head,
          std::make_shared<GgufSizes>(saved.header_bytes)};
}

}  // namespace snug

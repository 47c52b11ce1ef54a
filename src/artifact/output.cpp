#include "artifact/output.hpp"

#include "gguf/metadata.hpp"
#include "recipe/presets.hpp"

namespace snug {
namespace {

uint32_t file_type_of(const Recipe& recipe) {
  constexpr std::string_view kPreset = "preset ";
  if (recipe.method.starts_with(kPreset))
    if (const Preset* preset = find_preset(recipe.method.substr(kPreset.size()))) return preset->file_type;
  return file_type_for_bpw(recipe.bits_per_weight());
}

}  // namespace

gguf::Layout output_layout(const ModelSource& model, const Importance* importance, const Recipe& recipe,
                           const std::filesystem::path& path) {
  std::vector<gguf::OutputTensor> tensors;
  for (const RecipeTensor& tensor : recipe.tensors) {
    const Tensor& source = *model.find(tensor.name);
    tensors.push_back({tensor.name, tensor.format, source.dims, source.shape});
  }
  gguf::ImatrixNote note;
  if (importance) {
    // The name alone: the same recipe gives the same bytes wherever the imatrix lies.
    note = {importance->path().filename().string(), importance->datasets().empty() ? "" : importance->datasets().front(),
            static_cast<int64_t>(importance->tensors().size()), importance->chunks()};
  }
  std::vector<gguf::OutputKey> ours;
  if (recipe.notes)
    ours = {{"snug.version", std::string(SNUG_VERSION)},
            {"snug.recipe", recipe.method},
            {"snug.recipe_digest", recipe_digest(recipe)},
            {"snug.predicted_loss", MetadataValue{recipe.predicted_loss}}};
  return gguf::plan_layout(
      path, gguf::quantized_keys(model, file_type_of(recipe), importance ? &note : nullptr, std::move(ours)),
      std::move(tensors), recipe.split_bytes);
}

}  // namespace snug

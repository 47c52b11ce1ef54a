#include "report/listed_model.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/files/output_path.hpp"

namespace snug::report {
namespace {

void take(ListedModel& model, const MeasuredPoint& point) {
  if (!model.measured) model.measured = Recipe::Measured{point.measured, point.error, 0};
  model.perplexity = point.perplexity;
  model.same_top = point.same_top;
  model.original_perplexity = point.original_perplexity;
  model.scored_elsewhere = point.recipe.empty();
}

void take_own(std::vector<ListedModel>& models, const std::vector<MeasuredPoint>& points) {
  for (const MeasuredPoint& point : points)
    for (ListedModel& model : models)
      if (point.perplexity > 0 && point.recipe == model.recipe) take(model, point);
}

}  // namespace

std::string name_of(const std::filesystem::path& model) {
  return without_last_slash(model).filename().string();
}

std::string label_of(const std::filesystem::path& model) {
  const std::string name = name_of(model);
  return name.substr(0, name.size() - (name.ends_with(".gguf") ? std::string_view{".gguf"}.size() : 0));
}

ListedModel listed(const Recipe& recipe, std::string name, std::vector<ListedModel::File> files) {
  ListedModel model;
  model.name = std::move(name);
  model.files = std::move(files);
  model.bytes = recipe.file_bytes;
  model.bits_per_weight = recipe.bits_per_weight();
  model.measured = recipe.measured;
  if (recipe.loss_known) model.predicted = recipe.predicted_loss;
  model.recipe = recipe_digest(recipe);
  return model;
}

void add_measured(std::vector<ListedModel>& models, std::vector<MeasuredPoint>& points) {
  take_own(models, points);
  std::erase_if(points, [&](const MeasuredPoint& point) {
    if (!point.recipe.empty()) return false;
    const auto model = std::ranges::find_if(models, [&](const ListedModel& m) {
      return !m.files.empty() && label_of(m.name) == point.label && point.perplexity > 0;
    });
    if (model != models.end()) take(*model, point);
    return model != models.end();
  });
}

}  // namespace snug::report

#include "artifact/gguf_recipe.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "recipe/file_type.hpp"
#include "recipe/presets.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr float kCopied = -1;  // in place of a loss: the tensor is as in the source, not a choice
constexpr BudgetKind kBudgetKinds[] = {BudgetKind::none, BudgetKind::file, BudgetKind::tensors};

class Keys {
 public:
  void add(const char* key, MetadataValue value) { keys_.push_back({key, value}); }
  void add(const char* key, std::string text) { keys_.push_back({key, std::move(text)}); }
  void add_if_any(const char* key, const std::string& text) {
    if (!text.empty()) add(key, text);
  }
  void add(const char* key, std::vector<float> numbers) { keys_.push_back({key, std::move(numbers)}); }
  std::vector<OutputKey> take() { return std::move(keys_); }

 private:
  std::vector<OutputKey> keys_;
};

void add_making(Keys& keys, const Recipe& recipe) {
  keys.add("snug.version", std::string{SNUG_VERSION});
  keys.add("snug.recipe", recipe.method);
  keys.add("snug.recipe_digest", recipe_digest(recipe));
  keys.add("snug.runtime", recipe.runtime);
  keys.add("snug.max_effort", MetadataValue{recipe.effort == Effort::max});
  keys.add("snug.error_feedback", MetadataValue{recipe.error_feedback});
  keys.add_if_any("snug.source_digest", recipe.model_digest);
  keys.add_if_any("snug.imatrix_digest", recipe.imatrix_digest);
  keys.add_if_any("snug.state_digest", recipe.state_digest);
}

void add_budget(Keys& keys, const Recipe& recipe) {
  keys.add_if_any("snug.limits", recipe.limits);
  if (recipe.split_bytes > 0) keys.add("snug.split_bytes", MetadataValue{recipe.split_bytes});
  if (recipe.budget_kind == BudgetKind::none) return;
  keys.add("snug.budget", std::string{budget_name(recipe.budget_kind)});
  keys.add("snug.budget_bytes", MetadataValue{recipe.budget_bytes});
}

void add_losses(Keys& keys, const Recipe& recipe) {
  if (!recipe.loss_known) return;
  keys.add("snug.predicted_loss", MetadataValue{recipe.predicted_loss});
  keys.add("snug.certified_bound", MetadataValue{recipe.certified_bound});
  keys.add("snug.proven_optimal", MetadataValue{recipe.proven_optimal});
  std::vector<float> losses;
  for (const RecipeTensor& tensor : recipe.tensors)
    losses.push_back(tensor.copied ? kCopied : static_cast<float>(tensor.loss));
  keys.add("snug.tensor_losses", std::move(losses));
}

void add_measured(Keys& keys, const Recipe& recipe) {
  if (!recipe.measured) return;
  keys.add("snug.measured.kl", MetadataValue{recipe.measured->kl});
  keys.add("snug.measured.standard_error", MetadataValue{recipe.measured->standard_error});
  keys.add("snug.measured.tokens", MetadataValue{recipe.measured->tokens});
  keys.add_if_any("snug.measured.text", recipe.measured->text);
}

std::string text_of(const Metadata& keys, const char* key) {
  return std::string{keys.text(key).value_or("")};
}

[[noreturn]] void refuse(const ModelSource& file, const char* key) {
  throw Error{str("'", key, "' is not what a recipe says there"), file.path().string(),
              "the file's notes were changed; use the recipe itself"};
}

void read_making(const ModelSource& file, Recipe& recipe) {
  const Metadata& keys = file.metadata();
  recipe.made_by = str("snug ", text_of(keys, "snug.version"));
  recipe.architecture = text_of(keys, "general.architecture");
  recipe.model_name = text_of(keys, "general.name");
  recipe.method = text_of(keys, "snug.recipe");
  recipe.runtime = text_of(keys, "snug.runtime");
  recipe.effort = keys.boolean("snug.max_effort").value_or(false) ? Effort::max : Effort::normal;
  recipe.error_feedback = keys.boolean("snug.error_feedback").value_or(false);
  recipe.model_digest = text_of(keys, "snug.source_digest");
  recipe.imatrix_digest = text_of(keys, "snug.imatrix_digest");
  recipe.state_digest = text_of(keys, "snug.state_digest");
}

void read_budget(const ModelSource& file, Recipe& recipe) {
  const Metadata& keys = file.metadata();
  recipe.limits = text_of(keys, "snug.limits");
  recipe.split_bytes = keys.integer("snug.split_bytes").value_or(0);
  const std::string kind{keys.text("snug.budget").value_or(budget_name(BudgetKind::none))};
  const auto known = std::ranges::find(kBudgetKinds, kind, budget_name);
  if (known == std::end(kBudgetKinds)) refuse(file, "snug.budget");
  recipe.budget_kind = *known;
  recipe.budget_bytes = keys.integer("snug.budget_bytes").value_or(0);
}

double finite(const ModelSource& file, const char* key) {
  const double number = file.metadata().real(key).value_or(0);
  if (!std::isfinite(number)) refuse(file, key);
  return number;
}

void read_losses(const ModelSource& file, Recipe& recipe) {
  const Metadata& keys = file.metadata();
  recipe.loss_known = keys.find("snug.predicted_loss") != nullptr;
  if (recipe.loss_known) {
    recipe.predicted_loss = finite(file, "snug.predicted_loss");
    recipe.certified_bound = finite(file, "snug.certified_bound");
    recipe.proven_optimal = keys.boolean("snug.proven_optimal").value_or(false);
  }
  if (keys.find("snug.measured.kl"))
    recipe.measured = {finite(file, "snug.measured.kl"), finite(file, "snug.measured.standard_error"),
                       keys.integer("snug.measured.tokens").value_or(0), text_of(keys, "snug.measured.text")};
}

void read_tensors(const ModelSource& file, Recipe& recipe) {
  const std::vector<double> losses = file.metadata().reals("snug.tensor_losses");
  if (recipe.loss_known && losses.size() != file.tensors().size()) refuse(file, "snug.tensor_losses");
  for (size_t i = 0; i < file.tensors().size(); ++i) {
    const Tensor& source = file.tensors()[i];
    RecipeTensor tensor{std::string{source.name}, source.format, source.bytes(), 0, false, false};
    if (recipe.loss_known) {
      if (!(losses[i] == kCopied || (losses[i] >= 0 && std::isfinite(losses[i])))) refuse(file, "snug.tensor_losses");
      tensor.copied = losses[i] == kCopied;
      tensor.loss = std::max(losses[i], 0.0);
    }
    recipe.tensor_bytes += tensor.bytes;
    recipe.weights += source.weights();
    recipe.tensors.push_back(std::move(tensor));
  }
}

}  // namespace

std::vector<OutputKey> recipe_keys(const Recipe& recipe) {
  if (!recipe.notes) return {};
  Keys keys;
  add_making(keys, recipe);
  add_budget(keys, recipe);
  add_losses(keys, recipe);
  add_measured(keys, recipe);
  return keys.take();
}

std::optional<Recipe> recipe_of_file(const ModelSource& file) {
  if (!file.metadata().find("snug.recipe") || !file.metadata().find("snug.runtime")) return std::nullopt;
  Recipe recipe;
  read_making(file, recipe);
  read_budget(file, recipe);
  read_losses(file, recipe);
  read_tensors(file, recipe);
  recipe.file_bytes = file.bytes();
  if (const auto digest = file.metadata().text("snug.recipe_digest"); digest && *digest != recipe_digest(recipe))
    throw Error{"the file does not hold all of its recipe, such as what was folded", file.path().string(),
                "use the recipe itself, which `fit` and `plan` write as JSON"};
  return recipe;
}

uint32_t file_type_of(const Recipe& recipe) {
  constexpr std::string_view kPreset = "preset ";
  if (recipe.method.starts_with(kPreset))
    if (const Preset* preset = find_preset(recipe.method.substr(kPreset.size()))) return preset->file_type;
  std::vector<FormatId> chosen;
  for (const RecipeTensor& tensor : recipe.tensors)
    if (!tensor.copied) chosen.push_back(tensor.format);
  return nearest_file_type(recipe.bits_per_weight(), chosen);
}

}  // namespace snug

#include "recipe/measured_recipe.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/json_reader.hpp"

namespace snug {
namespace {

constexpr std::string_view kStart = "{\"snug_judged\":1,";

}  // namespace

std::string to_text(const MeasuredRecipeNote& note) {
  const MeasuredRecipe& r = note.recipe;
  nlohmann::ordered_json json{{"snug_judged", 1},           {"model", note.model},     {"label", r.label}, {"bytes", r.bytes},
                              {"predicted", r.predicted}, {"measured", r.measured}, {"se", r.error}};
  if (!r.recipe.empty()) json["recipe"] = r.recipe;
  if (r.perplexity > 0)
    json.update({{"perplexity", r.perplexity}, {"same_top", r.same_top}, {"original_perplexity", r.original_perplexity}});
  return json_text(json);
}

MeasuredRecipeNote parse_judged_recipe(const std::string& text, const std::string& where) {
  const nlohmann::json document = parse_json(text, where);
  const JsonNode root{document, where};
  MeasuredRecipe recipe{root.at("label").text(), root.at("bytes").whole(), root.at("predicted").number(),
                        root.at("measured").number(), root.at("se").number_from_zero()};
  if (root.has("recipe")) recipe.recipe = root.at("recipe").text();
  if (root.has("perplexity")) {
    recipe.perplexity = root.at("perplexity").number_from_zero();
    recipe.same_top = root.at("same_top").number_from_zero();
    recipe.original_perplexity = root.at("original_perplexity").number_from_zero();
  }
  return {root.at("model").text(), std::move(recipe)};
}

bool is_judged_recipe(std::string_view text) {
  return text.starts_with(kStart);
}

}  // namespace snug

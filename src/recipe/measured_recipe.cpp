#include "recipe/measured_recipe.hpp"

#include <nlohmann/json.hpp>

#include "base/json_reader.hpp"

namespace snug {
namespace {

constexpr std::string_view kStart = "{\"snug_judged\":1,";

}  // namespace

std::string to_text(const MeasuredRecipeNote& note) {
  return json_text(nlohmann::ordered_json{{"snug_judged", 1},
                                          {"model", note.model},
                                          {"label", note.recipe.label},
                                          {"bytes", note.recipe.bytes},
                                          {"predicted", note.recipe.predicted},
                                          {"measured", note.recipe.measured},
                                          {"se", note.recipe.error}});
}

MeasuredRecipeNote parse_judged_recipe(const std::string& text, const std::string& where) {
  const nlohmann::json document = parse_json(text, where);
  const JsonNode root{document, where};
  return {root.at("model").text(),
          {root.at("label").text(), root.at("bytes").whole(), root.at("predicted").number(),
           root.at("measured").number(), root.at("se").number_from_zero()}};
}

bool is_judged_recipe(std::string_view text) {
  return text.starts_with(kStart);
}

}  // namespace snug

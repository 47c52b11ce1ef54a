#include "fit/measured_recipe_store.hpp"

#include <algorithm>
#include <span>

#include "base/digest.hpp"

namespace snug {

MeasuredRecipe with_scores(MeasuredRecipe recipe, const std::optional<TextScores>& scores) {
  if (!scores) return recipe;
  recipe.perplexity = scores->perplexity.value;
  recipe.same_top = scores->same_top.value;
  recipe.original_perplexity = scores->original_perplexity;
  return recipe;
}

void save_judged(Store& state, const std::string& model_digest, const std::string& recipe_digest,
                 const MeasuredRecipe& recipe) {
  MeasuredRecipeNote note{model_digest, recipe};
  note.recipe.recipe = recipe_digest;
  const std::string text = to_text(note);
  const Digest key = Hasher{}.add("judged").add(model_digest).add(recipe_digest).finish();
  state.put(RecordKind::note, key, std::as_bytes(std::span{text}));
  state.sync();
}

std::vector<MeasuredRecipe> judged_recipes(const Store& state, const std::string& model_digest,
                                         const std::string& where) {
  std::vector<MeasuredRecipe> judged;
  state.for_each([&](const Record& record) {
    const std::string_view text{reinterpret_cast<const char*>(record.payload.data()), record.payload.size()};
    if (record.kind != RecordKind::note || !is_judged_recipe(text)) return;
    MeasuredRecipeNote note = parse_judged_recipe(std::string{text}, where);
    if (note.model == model_digest) judged.push_back(std::move(note.recipe));
  });
  std::ranges::sort(judged, {}, [](const MeasuredRecipe& j) { return std::pair{j.bytes, j.label}; });
  return judged;
}

}  // namespace snug

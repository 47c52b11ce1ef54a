#include "artifact/gguf_recipe.hpp"

#include <gtest/gtest.h>

#include "artifact/quantize_model.hpp"
#include "artifact/recipe_file.hpp"
#include "base/files/read_file.hpp"
#include "plan/baseline_recipes.hpp"
#include "snug/error.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

class RecipeOfFile : public testing::Test {
 protected:
  RecipeOfFile() {
    test::GgufBytes file;
    file.key("general.architecture", "llama").key("general.name", "Small");
    file.f32("blk.0.attn_q.weight", {32, 2}, std::vector<float>(64, 0.5F));
    file.f32("blk.0.attn_norm.weight", {32}, std::vector<float>(32, 1));
    file.save(scratch_ / "in.gguf");
  }

  Recipe recipe() const {
    Recipe recipe = uniform_recipe(open_model(scratch_ / "in.gguf"), "q8_0", "llama.cpp");
    recipe.method = "optimal";
    recipe.budget_kind = BudgetKind::tensors;
    recipe.budget_bytes = 1000;
    recipe.loss_known = true;
    recipe.predicted_loss = recipe.tensors[1].loss = 0.25;
    recipe.certified_bound = 0.125;
    recipe.error_feedback = true;
    recipe.measured = Recipe::Measured{0.5, 0.0625, 1234, "held.txt"};
    return recipe;
  }

  std::filesystem::path written(const Recipe& recipe, const char* name) const {
    quantize_model(open_model(scratch_ / "in.gguf"), nullptr, recipe, scratch_ / name, Existing::replace);
    return scratch_ / name;
  }

  test::Scratch scratch_;
};

TEST_F(RecipeOfFile, IsWholeAndGivesTheSameBytesAgain) {
  Recipe told = recipe();
  const Recipe read = read_recipe(written(told, "a.gguf"));
  told.file_bytes = static_cast<int64_t>(std::filesystem::file_size(scratch_ / "a.gguf"));
  EXPECT_EQ(read, told) << to_json(read) << to_json(told);
  EXPECT_EQ(read_file(written(read, "b.gguf")), read_file(scratch_ / "a.gguf"));
}

TEST_F(RecipeOfFile, TakesTheSameRoomBeforeAndAfterJudging) {
  Recipe before = recipe(), after = recipe();
  before.measured = Recipe::Measured{.text = "held.txt"};
  before.error_feedback = false;
  before.certified_bound = 0;
  const ModelSource model = open_model(scratch_ / "in.gguf");
  EXPECT_EQ(make_artifact(model, nullptr)->layout(before).bytes, make_artifact(model, nullptr)->layout(after).bytes);
  EXPECT_EQ(make_artifact(model, nullptr)->fixed_bytes(before), make_artifact(model, nullptr)->fixed_bytes(after));
  after.effort = Effort::max;
  EXPECT_EQ(make_artifact(model, nullptr)->layout(before).bytes, make_artifact(model, nullptr)->layout(after).bytes);
}

TEST_F(RecipeOfFile, IsNotMadeUpWhereTheFileDoesNotHoldIt) {
  EXPECT_THROW(read_recipe(scratch_ / "in.gguf"), Error);
  Recipe bare = recipe();
  bare.notes = false;
  EXPECT_THROW(read_recipe(written(bare, "bare.gguf")), Error);
}

TEST_F(RecipeOfFile, RefusesNotesThatWereChanged) {
  const auto with = [&](const char* key, uint32_t type, const std::string& value) {
    test::GgufBytes file;
    file.key("general.architecture", "llama").key("snug.recipe", "optimal").key("snug.runtime", "llama.cpp");
    file.key(key, type, value);
    file.f32("blk.0.attn_q.weight", {32, 2}, std::vector<float>(64, 0.5F));
    file.save(scratch_ / "changed.gguf");
    return scratch_ / "changed.gguf";
  };
  EXPECT_NO_THROW(read_recipe(with("snug.limits", 8, test::GgufBytes::text("pins"))));
  EXPECT_THROW(read_recipe(with("snug.recipe_digest", 8, test::GgufBytes::text("that of a recipe with folds"))), Error);
  EXPECT_THROW(read_recipe(with("snug.budget", 8, test::GgufBytes::text("wide"))), Error);
  EXPECT_THROW(read_recipe(with("snug.predicted_loss", 12, test::GgufBytes::le(0.5))), Error);  // no losses beside it
  EXPECT_THROW(read_recipe(with("snug.error_feedback", 8, test::GgufBytes::text("yes"))), Error);
  EXPECT_THROW(read_recipe(with("snug.measured.kl", 12, test::GgufBytes::le(0.0 / 0.0))), Error);
}

TEST(FileTypeOf, IsThatOfAPresetOrTheNearestWhoseFormatIsThere) {
  Recipe recipe;
  recipe.method = "preset q3_k_l";
  EXPECT_EQ(file_type_of(recipe), 13u);
  recipe.method = "optimal";
  recipe.weights = 1000;
  recipe.tensors = {{"a", FormatId::q4_K, 0, 0, false}, {"b", FormatId::q6_K, 0, 0, false}, {"c", FormatId::q8_0, 0, 0, true}};
  const auto type_at = [&](double bits) {
    recipe.tensor_bytes = static_cast<int64_t>(bits * 1000 / 8);
    return file_type_of(recipe);
  };
  EXPECT_EQ(type_at(4.9), 15u);  // q4_k_m
  EXPECT_EQ(type_at(4.5), 14u);  // q4_k_s
  EXPECT_EQ(type_at(6.1), 18u);  // q6_k
  EXPECT_EQ(type_at(8.5), 18u);  // q8_0 is only copied
  recipe.tensors = {{"a", FormatId::iq2_s, 0, 0, false}};
  EXPECT_EQ(type_at(2.6), 29u);  // iq2_m is the mix over iq2_s
}

}  // namespace
}  // namespace snug

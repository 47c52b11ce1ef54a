// Which recipe in the way of a fit is its own.
#include "fit/outputs/own_recipe.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "support/scratch.hpp"

namespace snug {
namespace {

TEST(OwnRecipe, IsWhatAnUnfinishedFitOfThatStateWrote) {
  const test::Scratch scratch;
  const auto file = scratch / "r.json", state = scratch / "state";
  EXPECT_FALSE(is_unfinished_recipe(file, state));
  std::ofstream{file} << "a recipe";
  EXPECT_FALSE(is_unfinished_recipe(file, state));
  note_own_recipe(*std::make_unique<Store>(Store::open(state, Access::write)), "a recipe", OwnRecipe::unfinished);
  EXPECT_TRUE(is_unfinished_recipe(file, state));
  EXPECT_FALSE(is_unfinished_recipe(scratch.path(), state));
  EXPECT_FALSE(is_unfinished_recipe(file, file));
  std::ofstream{file} << "another recipe";
  EXPECT_FALSE(is_unfinished_recipe(file, state));
  std::ofstream{file} << "a recipe";
  note_own_recipe(*std::make_unique<Store>(Store::open(state, Access::write)), "a recipe", OwnRecipe::finished);
  EXPECT_FALSE(is_unfinished_recipe(file, state));
}

}  // namespace
}  // namespace snug

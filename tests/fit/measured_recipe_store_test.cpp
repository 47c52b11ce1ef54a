#include "fit/measured_recipe_store.hpp"

#include <gtest/gtest.h>

#include <span>
#include <string_view>

#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

class JudgedStore : public testing::Test {
 protected:
  test::Scratch scratch;
  Store store = Store::open(scratch / "state", Access::write);
};

TEST_F(JudgedStore, GivesBackWhatWasPutInBySize) {
  save_judged(store, "model", "b", {"preset q4_k_m", 200, 0.25, 0.125, 0.5});
  save_judged(store, "model", "a",
              with_scores({"plan", 100, 1e-9, 3.25, 0.0625}, TextScores{{0.875, 0.1}, {12.5, 0.3}, 11.5}));
  save_judged(store, "another model", "a", {"plan", 1, 1, 1, 1});
  store.put(RecordKind::note, Digest{},
            std::as_bytes(std::span{std::string_view{"a note on something else"}}));
  const auto judged = judged_recipes(store, "model", "state");
  ASSERT_EQ(judged.size(), 2u);
  EXPECT_EQ(judged[0], (MeasuredRecipe{"plan", 100, 1e-9, 3.25, 0.0625, 12.5, 0.875, 11.5, "a"}));
  EXPECT_EQ(judged[1], (MeasuredRecipe{"preset q4_k_m", 200, 0.25, 0.125, 0.5, 0, 0, 0, "b"}));
}

TEST_F(JudgedStore, TheSameRecipeIsThereOnce) {
  save_judged(store, "model", "a", {"plan", 100, 1, 2, 3});
  save_judged(store, "model", "a", {"plan", 100, 1, 4, 3});
  const auto judged = judged_recipes(store, "model", "state");
  ASSERT_EQ(judged.size(), 1u);
  EXPECT_EQ(judged[0].measured, 4);
}

TEST_F(JudgedStore, AStateOfAnEarlierVersionHasNoScores) {
  const std::string_view note =
      R"({"snug_judged":1,"model":"model","label":"plan","bytes":100,"predicted":1,"measured":2,"se":3})";
  store.put(RecordKind::note, Digest{}, std::as_bytes(std::span{note}));
  EXPECT_EQ(judged_recipes(store, "model", "state"), (std::vector<MeasuredRecipe>{{"plan", 100, 1, 2, 3}}));
}

TEST_F(JudgedStore, AMalformedNoteIsAnErrorWithThePath) {
  const std::string_view note = "{\"snug_judged\":1,\"model\":\"model\",\"label\":7}";
  store.put(RecordKind::note, Digest{}, std::as_bytes(std::span{note}));
  try {
    judged_recipes(store, "model", "some.snug-state");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.where().find("some.snug-state"), std::string::npos);
  }
}

}  // namespace
}  // namespace snug

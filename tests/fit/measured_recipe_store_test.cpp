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
  save_judged(store, "model", "a", {"plan", 100, 1e-9, 3.25, 0.0625});
  save_judged(store, "another model", "a", {"plan", 1, 1, 1, 1});
  store.put(RecordKind::note, Digest{},
            std::as_bytes(std::span{std::string_view{"a note on something else"}}));
  const auto judged = judged_recipes(store, "model", "state");
  ASSERT_EQ(judged.size(), 2u);
  EXPECT_EQ(judged[0], (MeasuredRecipe{"plan", 100, 1e-9, 3.25, 0.0625}));
  EXPECT_EQ(judged[1], (MeasuredRecipe{"preset q4_k_m", 200, 0.25, 0.125, 0.5}));
}

TEST_F(JudgedStore, TheSameRecipeIsThereOnce) {
  save_judged(store, "model", "a", {"plan", 100, 1, 2, 3});
  save_judged(store, "model", "a", {"plan", 100, 1, 4, 3});
  const auto judged = judged_recipes(store, "model", "state");
  ASSERT_EQ(judged.size(), 1u);
  EXPECT_EQ(judged[0].measured, 4);
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

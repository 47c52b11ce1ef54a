#include "snug/recipe.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/str.hpp"
#include "recipe/recipe_fixture.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using nlohmann::json;
using test::random_recipe;

/// What is said about a recipe with `change` made to its JSON; empty where nothing is.
template <class Change>
std::string complaint(Change change) {
  json document = json::parse(to_json(random_recipe(1)));
  change(document);
  try {
    parse_recipe(document.dump(), "r.json");
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

/// That JSON text with the first `from` replaced by `to`.
std::string edited(std::string from, std::string to) {
  std::string text = to_json(random_recipe(1));
  return text.replace(text.find(from), from.size(), to);
}

TEST(Recipe, ComesBackExactlyAsItWentOut) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    const Recipe recipe = random_recipe(seed);
    const std::string text = to_json(recipe);
    const Recipe back = parse_recipe(text, "r.json");
    EXPECT_EQ(back, recipe);
    EXPECT_EQ(to_json(back), text);
  }
}

TEST(Recipe, AnUnknownLossIsNotWrittenAsNone) {
  Recipe recipe = random_recipe(1);
  recipe.loss_known = recipe.proven_optimal = false;
  recipe.predicted_loss = recipe.certified_bound = 0;
  for (RecipeTensor& t : recipe.tensors) t.loss = 0;
  const std::string text = to_json(recipe);
  EXPECT_EQ(text.find("\"loss\""), text.npos) << text;
  EXPECT_EQ(parse_recipe(text, "r.json"), recipe);
}

TEST(Recipe, ExtremeNumbersSurvive) {
  Recipe recipe = random_recipe(1);
  recipe.budget_bytes = std::numeric_limits<int64_t>::max();
  recipe.predicted_loss = std::numeric_limits<double>::denorm_min();
  recipe.tensors[0].loss = std::numeric_limits<double>::max();
  recipe.tensors[2].loss = 0.1 + 0.2;
  EXPECT_EQ(parse_recipe(to_json(recipe), "r.json"), recipe);
}

TEST(Recipe, IsOneLinePerTensorBehindAReadableHead) {
  const Recipe recipe = random_recipe(1);
  const std::string text = to_json(recipe);
  EXPECT_EQ(text.rfind("{\n  \"snug_recipe\": 1,\n  \"made_by\": \"snug 0.1.0\",\n  \"model\": {\n", 0), 0u)
      << text;
  EXPECT_NE(text.find("\n    {\"name\":\"blk.0.attn_norm.weight\",\"format\":\"f32\",\"bytes\":"), text.npos)
      << text;
  for (const RecipeTensor& t : recipe.tensors) EXPECT_NE(text.find("\n    {\"name\":\"" + t.name), text.npos);
}

TEST(Recipe, AnotherVersionIsRefusedNotGuessed) {
  EXPECT_NE(complaint([](json& d) { d["snug_recipe"] = 2; }).find("version 2"), std::string::npos);
  EXPECT_NE(complaint([](json& d) { d.erase("snug_recipe"); }).find("not a recipe"), std::string::npos);
  EXPECT_NE(complaint([](json& d) { d = json::array(); }).find("not a recipe"), std::string::npos);
}

TEST(Recipe, AComplaintNamesTheValueAndWhatWasExpectedThere) {
  const std::string wrong_type = complaint([](json& d) { d["tensors"][3]["bytes"] = "many"; });
  EXPECT_NE(wrong_type.find("r.json: $.tensors[3].bytes"), std::string::npos) << wrong_type;
  EXPECT_NE(wrong_type.find("expected a whole number"), std::string::npos) << wrong_type;
  EXPECT_NE(wrong_type.find("found \"many\""), std::string::npos) << wrong_type;

  const std::string missing = complaint([](json& d) { d["loss"].erase("predicted"); });
  EXPECT_NE(missing.find("'predicted' is missing"), std::string::npos) << missing;
  EXPECT_NE(missing.find("$.loss"), std::string::npos) << missing;

  const std::string format = complaint([](json& d) { d["tensors"][0]["format"] = "q7_X"; });
  EXPECT_NE(format.find("unknown format \"q7_X\""), std::string::npos) << format;
  EXPECT_NE(format.find("$.tensors[0].format"), std::string::npos) << format;
}

TEST(Recipe, EveryMissingOrWronglyTypedFieldIsRefused) {
  const json document = json::parse(to_json(random_recipe(1)));
  const std::set<std::string> for_people{"/size/bits_per_weight", "/loss/gap"};
  const json flat = document.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    if (for_people.contains(pointer) || pointer.ends_with("/copied") || pointer.ends_with("/unweighted") ||
        pointer == "/limits")
      continue;
    SCOPED_TRACE(pointer);
    const json::json_pointer at{pointer};
    EXPECT_NE(complaint([&](json& d) { d[at.parent_pointer()].erase(at.back()); }), "") << "missing";
    EXPECT_NE(complaint([&](json& d) { d[at] = nullptr; }), "") << "null";
    EXPECT_NE(complaint([&](json& d) { d[at] = json::array({1}); }), "") << "an array";
    EXPECT_NE(complaint([&](json& d) { d[at.parent_pointer()] = 7; }), "") << "a number for its parent";
  }
}

TEST(Recipe, NumbersThatMeanNothingAreRefused) {
  for (const char* value : {"-1", "1.5", "9223372036854775808", "1e30", "true"}) {
    SCOPED_TRACE(value);
    EXPECT_NE(complaint([&](json& d) { d["tensors"][1]["bytes"] = json::parse(value); }), "");
    EXPECT_NE(complaint([&](json& d) { d["size"]["weights"] = json::parse(value); }), "");
  }
  EXPECT_NE(complaint([](json& d) { d["tensors"][0]["loss"] = -1e-9; }), "");
  EXPECT_NE(complaint([](json& d) { d["loss"]["predicted"] = -0.5; }), "");
  for (const char* value : {"NaN", "nan", "Infinity", "-Infinity", "1e999"})
    EXPECT_THROW(parse_recipe(edited("\"gap\": ", str("\"gap2\": ", value, ", \"gap\": ")), "r.json"), Error)
        << value;
  EXPECT_NE(complaint([](json& d) {
              d["tensors"][0]["bytes"] = d["tensors"][1]["bytes"] = std::numeric_limits<int64_t>::max();
            }).find("2^63"),
            std::string::npos);
}

TEST(Recipe, WhatAComplaintQuotesCannotReachTheTerminal) {
  const std::string text = complaint([](json& d) { d["tensors"][0]["format"] = "\x1b[2J\u009b"; });
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("\\u001b[2J\\u009b"), std::string::npos) << text;
}

TEST(Recipe, ATensorOrAKeyThatIsThereTwiceIsRefused) {
  EXPECT_NE(complaint([](json& d) { d["tensors"].push_back(d["tensors"][0]); }).find("listed twice"),
            std::string::npos);
  EXPECT_NE(complaint([](json& d) { d["tensors"] = json::array(); }), "");
  EXPECT_THROW(parse_recipe(edited("\"method\": ", "\"method\": \"x\", \"method\": "), "r.json"), Error);
}

TEST(Recipe, UnknownKeysAreLeftToLaterVersions) {
  EXPECT_EQ(complaint([](json& d) { d["note"] = "by hand"; }), "");
}

TEST(Recipe, DeepAndBrokenTextsAreRefusedSafely) {
  EXPECT_THROW(parse_recipe(std::string(1'000'000, '['), "r.json"), Error);
  EXPECT_THROW(parse_recipe(std::string(1'000'000, '{'), "r.json"), Error);
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += "{\"a\":";
  EXPECT_THROW(parse_recipe(nested, "r.json"), Error);
  EXPECT_THROW(parse_recipe("", "r.json"), Error);
  EXPECT_THROW(parse_recipe(std::string("\0\xff\xfe", 3), "r.json"), Error);
}

TEST(Recipe, EveryPrefixIsRefused) {
  const std::string text = to_json(random_recipe(1, 2));
  for (size_t length = 0; length + 2 < text.size(); ++length)
    EXPECT_THROW(parse_recipe(text.substr(0, length), "r.json"), Error) << length;
}

TEST(Recipe, NothingUnwritableIsWritten) {
  Recipe recipe = random_recipe(1);
  recipe.tensors[0].name = "bad \xff byte";
  EXPECT_THROW(to_json(recipe), Error);
  recipe = random_recipe(1);
  recipe.predicted_loss = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(to_json(recipe), Error);
}

TEST(Recipe, WhereNothingWasLeftOutNothingIsSaidOfIt) {
  Recipe recipe = random_recipe(1);
  const std::string digest = recipe_digest(recipe);
  ASSERT_FALSE(recipe.left_out.empty());
  EXPECT_EQ(json::parse(to_json(recipe))["left_out"][0]["why"], recipe.left_out[0].why);
  recipe.left_out.clear();
  EXPECT_FALSE(json::parse(to_json(recipe)).contains("left_out"));
  EXPECT_EQ(recipe_digest(recipe), digest);
}

TEST(Recipe, FoldsChangeWhatItDoes) {
  Recipe recipe = random_recipe(1);
  ASSERT_FALSE(recipe.folds.empty());
  const std::string digest = recipe_digest(recipe);
  recipe.folds[0].inputs += 0.25;
  EXPECT_NE(recipe_digest(recipe), digest);
  recipe.folds.clear();
  EXPECT_FALSE(json::parse(to_json(recipe)).contains("folds"));
  EXPECT_NE(recipe_digest(recipe), digest);
}

TEST(RecipeDigest, SaysWhatTheRecipeDoesAndNothingElse) {
  const Recipe recipe = random_recipe(1);
  const std::string digest = recipe_digest(recipe);
  EXPECT_EQ(digest.size(), 32u);

  Recipe other = recipe;
  other.made_by = "snug 9";
  other.predicted_loss *= 2;
  EXPECT_EQ(recipe_digest(other), digest);

  other = recipe;
  other.tensors[2].format = FormatId::iq1_m;
  EXPECT_NE(recipe_digest(other), digest);
  other = recipe;
  other.effort = other.effort == Effort::max ? Effort::normal : Effort::max;
  EXPECT_NE(recipe_digest(other), digest);
  other = recipe;
  std::swap(other.tensors[0].name, other.tensors[2].name);
  EXPECT_NE(recipe_digest(other), digest);
}

}  // namespace
}  // namespace snug

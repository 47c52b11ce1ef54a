#include "report/measured.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "recipe/recipe_fixture.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug::report {
namespace {

std::vector<MeasuredPoint> points(std::initializer_list<std::pair<double, double>> pairs) {
  std::vector<MeasuredPoint> list;
  for (const auto& [predicted, measured] : pairs) list.push_back({"", 0, predicted, measured, 0});
  return list;
}

TEST(Agreement, RanksCountAndNotSizes) {
  EXPECT_DOUBLE_EQ(agreement_of(points({{1, 10}, {2, 11}, {3, 900}, {4, 1000}})).rank_correlation, 1);
  EXPECT_DOUBLE_EQ(agreement_of(points({{1, 9}, {2, 8}, {3, 1}})).rank_correlation, -1);
  // Ranks 0 1 2 3 against 0 2 1 3: 1 - 6 * 2 / (4 * 15).
  EXPECT_NEAR(agreement_of(points({{1, 1}, {2, 3}, {3, 2}, {4, 4}})).rank_correlation, 0.8, 1e-12);
  // A tie shares its ranks: 0 1 2 against 0 1.5 1.5 is sqrt(3) / 2.
  EXPECT_NEAR(agreement_of(points({{1, 1}, {2, 5}, {3, 5}})).rank_correlation, 0.8660254037844386, 1e-12);
}

TEST(Agreement, FactorsCountBothWays) {
  const Agreement a = agreement_of(points({{1, 2}, {4, 2}, {1, 1}, {1, 1.5}, {0, 7}, {7, 0}}));
  EXPECT_EQ(a.points, 4);  // without the two that lack a number
  EXPECT_DOUBLE_EQ(a.median_factor, (1.5 + 2) / 2);
  EXPECT_DOUBLE_EQ(a.median_ratio, (1 + 1.5) / 2);
}

TEST(Agreement, OfNothingIsNothing) {
  EXPECT_EQ(agreement_of({}).points, 0);
  EXPECT_EQ(agreement_of(points({{1, 2}, {2, 3}})).rank_correlation, 0);
}

class MeasuredFile : public testing::Test {
 protected:
  std::vector<MeasuredPoint> read(const std::string& text, const std::string& name = "list") {
    std::ofstream{scratch_ / name} << text;
    return read_measured(scratch_ / name);
  }
  std::string refusal(const std::string& text) {
    try {
      read(text);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  test::Scratch scratch_;
};

TEST_F(MeasuredFile, CsvInAnyOrderOfColumns) {
  const auto list = read("se,measured,label,extra\r\n0.001,0.25,\"a, \"\"b\"\"\",x\r\n,1e-3,plain,y\r\n\n");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].label, "a, \"b\"");
  EXPECT_EQ(list[0].measured, 0.25);
  EXPECT_EQ(list[0].error, 0.001);
  EXPECT_EQ(list[0].predicted, 0);
  EXPECT_EQ(list[1].measured, 1e-3);
  EXPECT_EQ(list[1].error, 0);
}

TEST_F(MeasuredFile, JsonTakesFiguresFromRecipes) {
  const Recipe recipe = test::random_recipe(5);
  std::ofstream{scratch_ / "r.json"} << to_json(recipe);
  const auto list = read(R"([{"recipe": "r.json", "measured": 0.5, "se": 0.1},
                            {"label": "x", "bytes": 7, "predicted": 0.25, "measured": 0}])");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].label, "r");
  EXPECT_EQ(list[0].bytes, recipe.file_bytes);
  EXPECT_EQ(list[0].predicted, recipe.predicted_loss);
  EXPECT_EQ(list[1].bytes, 7);
}

TEST_F(MeasuredFile, SaysWhatIsWrongAndWhere) {
  EXPECT_NE(refusal("label,kl\na,1\n").find("'measured'"), std::string::npos);
  EXPECT_NE(refusal("label,measured\na,1\nb,two\n").find("line 3"), std::string::npos);
  EXPECT_NE(refusal("label,measured\na,1,2\n").find("3 cells"), std::string::npos);
  EXPECT_NE(refusal("label,measured\na,-1\n"), "");
  EXPECT_NE(refusal("label,measured\na,nan\n"), "");
  EXPECT_NE(refusal("label,measured\na,1e999\n"), "");
  EXPECT_NE(refusal("[{\"label\": \"a\"}]").find("measured"), std::string::npos);
  EXPECT_NE(refusal("[{\"measured\": \"a\"}]").find("$[0].measured"), std::string::npos);
  EXPECT_NE(refusal("{}"), "");
  EXPECT_NE(refusal(" \n"), "");
  EXPECT_THROW(read_measured(scratch_ / "none"), Error);
}

}  // namespace
}  // namespace snug::report

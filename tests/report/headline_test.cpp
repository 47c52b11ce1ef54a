#include "report/headline.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "report/report_fixture.hpp"
#include "report/png_file.hpp"
#include "report/svg_file.hpp"
#include "snug/error.hpp"

namespace snug::report {
namespace {

TEST(Headline, SetsMeasuredAgainstMeasured) {
  Report report;
  report.file_bytes = 1000;
  report.predicted_loss = 0.5;
  report.presets = {{"q4_k_s, q4_k_m", 900, 800, 4.5, 0.75}};
  ASSERT_TRUE(own_loss(report));
  EXPECT_FALSE(own_loss(report)->is_measured);
  EXPECT_EQ(compared_preset(report)->loss.value, 0.75);

  report.measured_recipe = Recipe::Measured{0.25, 0.01, 100};
  EXPECT_FALSE(compared_preset(report)) << "a prediction is no match for what was measured";
  report.measured = {{"preset q4_k_m", 900, 0.75, 0.625, 0.02}, {"preset q5_k_m", 1100, 0, 0.125, 0}, {"plan", 950, 0, 0.1, 0}};
  ASSERT_TRUE(compared_preset(report));
  EXPECT_TRUE(compared_preset(report)->loss.is_measured);
  EXPECT_EQ(compared_preset(report)->name, "q4_k_m");
  EXPECT_EQ(compared_preset(report)->bits_per_weight, 4.5);
  report.loss_known = false;
  report.measured_recipe.reset();
  EXPECT_FALSE(own_loss(report));
}

/// Error feedback and corrections change what is predicted of a recipe, and nothing of the curve.
TEST(Headline, TheDotIsOfTheCurvesKind) {
  Inputs inputs;
  inputs.profile = test::random_profile(3);
  inputs.recipe = plan_without_model(*inputs.profile, 4);
  const double as_planned = inputs.recipe->predicted_loss;
  inputs.recipe->predicted_loss /= 2;
  const Report report = make_report(inputs);
  EXPECT_DOUBLE_EQ(report.curve_loss, as_planned);
  EXPECT_DOUBLE_EQ(report.predicted_loss, as_planned / 2);
}

TEST(SvgFile, IsADrawingOfItsOwn) {
  Inputs inputs;
  EXPECT_THROW(to_svg(Report{}), Error);
  inputs.profile = test::random_profile(3);
  const std::string svg = to_svg(make_report(inputs));
  EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=")) << svg.substr(0, 100);
  EXPECT_EQ(svg.find("var(--"), std::string::npos);
  EXPECT_NE(svg.find("class=\"curve\""), std::string::npos);
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
}

uint32_t big_endian(const std::string& bytes, size_t at) {
  uint32_t number = 0;
  for (size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<uint8_t>(bytes.at(at + i));
  return number;
}

TEST(PngFile, IsTheSvgDrawnAtTwiceItsSize) {
  try {
    to_png(Report{});
    ADD_FAILURE() << "there is no curve to draw";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::usage) << error.problem();
  }
  void* const library = dlopen("librsvg-2.so.2", RTLD_NOW);
  Inputs inputs;
  inputs.profile = test::random_profile(3);
  const Report report = make_report(inputs);
  if (!library) {
    try {
      to_png(report);
      FAIL();
    } catch (const Error& error) {
      EXPECT_NE(error.remedy().find("librsvg2-2"), std::string::npos);
    }
    GTEST_SKIP() << "librsvg is not here: its absence is said";
  }
  const std::string png = to_png(report);
  ASSERT_TRUE(png.starts_with("\x89PNG\r\n\x1a\n"));
  EXPECT_EQ(big_endian(png, 16), 2000u);
  EXPECT_EQ(big_endian(png, 20), 920u);
  EXPECT_GT(png.size(), 20'000u) << "an empty picture is smaller";
  inputs.profile = test::random_profile(4);
  EXPECT_NE(to_png(make_report(inputs)), png);
}

}  // namespace
}  // namespace snug::report

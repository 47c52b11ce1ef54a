#include "fit/overall_progress.hpp"

#include <gtest/gtest.h>

namespace snug {
namespace {

StageProgress at(std::string_view stage, int64_t done, int64_t total, double seconds, bool ended = false) {
  return {.stage = stage, .total = total, .done = done, .seconds = seconds, .what = {}, .ended = ended};
}

class Overall : public testing::Test {
 protected:
  OverallProgress all_{{{"measuring", 100}, {"probing", 40}, {"judging", 60}}};
};

TEST_F(Overall, AddsWhatIsExpectedOfLaterStagesToTheSpeedOfThisOne) {
  EXPECT_EQ(all_.left(at("measuring", 0, 10, 0)), 200);
  EXPECT_EQ(all_.left(at("measuring", 2, 10, 50)), 200 + 100);  // slower than expected: 200 of its own are left
  EXPECT_EQ(all_.left(at("measuring", 10, 10, 250, true)), 100);
}

TEST_F(Overall, KnowsThatAStageIsRunMoreThanOnce) {
  EXPECT_EQ(all_.left(at("judging, layer by layer", 4, 4, 15, true)), 45);
  EXPECT_EQ(all_.left(at("judging, layer by layer", 1, 4, 5)), 40);
  EXPECT_EQ(all_.left(at("judging, layer by layer", 4, 4, 100, true)), 0);
}

TEST_F(Overall, CountsNothingThatWasKnownBeforeAsWork) {
  StageProgress resumed = at("probing", 8, 12, 10);
  resumed.known = 6;
  EXPECT_EQ(all_.left(resumed), 30 + 60);  // 4 more at 5 s each are less than what is expected
  resumed.seconds = 50;
  EXPECT_EQ(all_.left(resumed), 100 + 60);
}

TEST_F(Overall, OfAStageThatNobodyExpectedIsThatOfTheStage) {
  EXPECT_EQ(all_.left(at("sorting", 1, 4, 2)), 6);
  EXPECT_EQ(OverallProgress::share(30, 90), 0.25);
  EXPECT_EQ(OverallProgress::share(0, 0), 1);
}

}  // namespace
}  // namespace snug

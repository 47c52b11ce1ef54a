#include "base/time_of_day.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace snug {
namespace {

TEST(TimeOfDay, IsThatOfTheMachine) {
  const char* before = std::getenv("TZ");
  const std::string zone = before ? before : "";
  setenv("TZ", "UTC-2", 1);  // two hours ahead
  tzset();
  EXPECT_EQ(local_time(86400, "%Y-%m-%d %H:%M:%S"), "1970-01-02 02:00:00");
  before ? setenv("TZ", zone.c_str(), 1) : unsetenv("TZ");
  tzset();
}

TEST(TimeOfDay, OfAFormThatIsTooLongNothing) {
  EXPECT_EQ(local_time(0, std::string(300, 'x')), "");
  EXPECT_GT(now_in_seconds(), 1'700'000'000);
}

}  // namespace
}  // namespace snug

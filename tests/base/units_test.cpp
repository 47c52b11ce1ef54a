#include "base/units.hpp"

#include <gtest/gtest.h>

#include "snug/error.hpp"

namespace snug {
namespace {

TEST(Units, SizesAreReadAsPeopleWriteThem) {
  EXPECT_EQ(parse_size("11GB"), 11'000'000'000);
  EXPECT_EQ(parse_size("11GiB"), 11ll << 30);
  EXPECT_EQ(parse_size("1.5 gib"), 3ll << 29);
  EXPECT_EQ(parse_size("500MB"), 500'000'000);
  EXPECT_EQ(parse_size("123"), 123);
}

TEST(Units, WhatIsNoSizeIsRefused) {
  for (const char* text : {"", "GB", "-1GB", "11 parsecs", "1e99GB", "nan", "inf", "11GBGB"})
    EXPECT_THROW(parse_size(text), Error) << text;
}

TEST(Units, SizesAndTimesAreShownForPeople) {
  EXPECT_EQ(show_size(11'000'000'000), "11.00 GB (10.24 GiB)");
  EXPECT_EQ(show_size(999), "999 bytes");
  EXPECT_EQ(show_duration(0.44), "0.4 s");
  EXPECT_EQ(show_duration(250), "4 min 10 s");
  EXPECT_EQ(show_duration(11100), "3 h 05 min");
  EXPECT_EQ(show_count(1234567), "1,234,567");
  EXPECT_EQ(show_count(123), "123");
}

}  // namespace
}  // namespace snug

#include "base/half.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace snug {
namespace {

TEST(Half, EveryF16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = from_f16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(from_f16(to_f16(value)))) << bits;
    } else {
      ASSERT_EQ(to_f16(value), bits);
    }
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(to_f16(1.0f + 0x1p-11f), to_f16(1.0f));          // a tie goes to the even neighbour
  EXPECT_EQ(to_f16(1.0f + 3 * 0x1p-11f), to_f16(1.0f) + 2);  // and here up
  EXPECT_EQ(to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(to_f16(0x1p-25f), 0);
  EXPECT_EQ(to_f16(0x1.8p-25f), 1);
}

TEST(Half, BrainFloatKeepsSubnormalsAndNan) {
  EXPECT_EQ(from_bf16(to_bf16(0x1p-130f)), 0x1p-130f);
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_EQ(to_bf16(1.0f + 0x1p-8f), to_bf16(1.0f));
}

}  // namespace
}  // namespace snug

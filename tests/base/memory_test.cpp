#include "base/memory.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace snug {
namespace {

TEST(Memory, WhatIsLargerThanItIsTold) {
  testing::internal::CaptureStderr();
  tell_if_larger_than_memory(1, "for every chunk");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  testing::internal::CaptureStderr();
  tell_if_larger_than_memory(std::numeric_limits<int64_t>::max(), "for every chunk");
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("from the disk again for every chunk"), std::string::npos) << told;
}

}  // namespace
}  // namespace snug

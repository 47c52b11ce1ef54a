#include "base/without_controls.hpp"

#include <gtest/gtest.h>

namespace snug {
namespace {

TEST(WithoutControls, WhatATerminalWouldObeyIsSpeltOut) {
  EXPECT_EQ(without_controls("\x1b[31mred\a\r\x7f"), "\\x1b[31mred\\x07\\x0d\\x7f");
  EXPECT_EQ(without_controls(std::string_view{"\0", 1}), "\\x00");
}

TEST(WithoutControls, TextStays) {
  EXPECT_EQ(without_controls("one\n  where: caf\xc3\xa9 \xf0\x9f\x90\x88"),
            "one\n  where: caf\xc3\xa9 \xf0\x9f\x90\x88");
}

}  // namespace
}  // namespace snug

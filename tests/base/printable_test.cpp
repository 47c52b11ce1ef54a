#include "base/printable.hpp"

#include <gtest/gtest.h>

namespace snug {
namespace {

TEST(TerminalText, WhatATerminalWouldObeyIsSpeltOut) {
  EXPECT_EQ(terminal_text("\x1b]0;title\a"), "\\x1b]0;title\\x07");
  EXPECT_EQ(terminal_text("\xc2\x9b"
                          "31m"),
            "\\xc2\\x9b31m");  // the same as ESC [ in one character
  EXPECT_EQ(terminal_text("over\rwritten\x7f"), "over\\x0dwritten\\x7f");
  EXPECT_EQ(terminal_text("\xff"), "\\xff");
}

TEST(TerminalText, TextStaysWhole) {
  const std::string text = "a\\b\n\tcaf\xc3\xa9 \xf0\x9f\x90\x88" + std::string(1000, 'x');
  EXPECT_EQ(terminal_text(text), text);
}

TEST(Printable, NamesAreCutAndBackslashesSpeltOut) {
  EXPECT_EQ(printable("a\\\n"), "a\\x5c\\x0a");
  EXPECT_EQ(printable(std::string(1000, 'x')).size(), 163u);
}

}  // namespace
}  // namespace snug

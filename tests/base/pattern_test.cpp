#include "base/pattern.hpp"

#include <gtest/gtest.h>

#include "snug/error.hpp"

namespace snug {
namespace {

Pattern others(const std::string& expression) {
  return {expression, "--pin", Pattern::From::others};
}

TEST(Pattern, FindsAnywhereAndCaptures) {
  const Pattern layer = others(R"(^blk\.(\d+)\.(ffn)?(attn)?)");
  const auto captured = layer.captures("blk.12.attn_q.weight");
  ASSERT_TRUE(captured);
  EXPECT_EQ(*captured, (std::vector<std::string_view>{"12", "", "attn"}));
  EXPECT_FALSE(layer.finds("token_embd.weight"));
  EXPECT_TRUE(others("").finds("anything"));
  EXPECT_TRUE(others("é|ü").finds("tür"));
}

TEST(Pattern, WhatRunsWithoutEndIsStopped) {
  const std::string name = std::string(40, 'a') + "!";
  for (const char* expression : {"^(a+)+$", "^(a|a)*$", "^(.*)*x$", "^(([a-z])+.)+[A-Z]$", "(?R)?a(?R)?b"}) {
    try {
      EXPECT_FALSE(others(expression).finds(name)) << expression;  // or it is found out quickly
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::usage);
      EXPECT_NE(error.problem().find("--pin"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(others("^(a+)+$").finds(name), Error);
}

TEST(Pattern, LongAndMalformedOnesAreRefused) {
  for (const std::string& expression :
       {std::string(100'000, 'a'), std::string(5'000, '('), std::string{"(a"}, std::string{"[z-a]"},
        std::string(1000, '(') + std::string(1000, ')'), std::string{"\xff"}}) {
    try {
      others(expression);
      FAIL() << expression.substr(0, 20);
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::usage);
      EXPECT_LT(std::string{error.what()}.size(), 500u);
    }
  }
  EXPECT_TRUE(others(std::string(10'000, 'a') + "|b").finds("b"));
}

TEST(Pattern, CutsIntoMatchesAndGaps) {
  const Pattern words{"[a-z]+", "a pre-tokenizer pattern", Pattern::From::us};
  std::vector<std::string_view> pieces{"ab 12cd", "!"};
  words.cut(pieces);
  EXPECT_EQ(pieces, (std::vector<std::string_view>{"ab", " 12", "cd", "!"}));
}

}  // namespace
}  // namespace snug

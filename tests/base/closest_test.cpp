#include "base/closest.hpp"

#include <gtest/gtest.h>

#include <array>

namespace snug {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"quantize", "fit", "q4_K", "iq4_xs", "--bpw"};

TEST(Closest, IsASlipOrTwoAway) {
  EXPECT_EQ(closest("quantise", kNames), "quantize");
  EXPECT_EQ(closest("fti", kNames), "fit");
  EXPECT_EQ(closest("Q4_k", kNames), "q4_K");
  EXPECT_EQ(closest("--bwp", kNames), "--bpw");
  EXPECT_EQ(closest("iq4xs", kNames), "iq4_xs");
}

TEST(Closest, IsNothingForAnythingElse) {
  for (const char* word : {"", "xyz", "report", "a-very-long-word-that-nobody-means-by-any-of-the-names-that-there-are"})
    EXPECT_EQ(closest(word, kNames), "") << word;
}

TEST(Closest, FallsBackToOtherAdvice) {
  EXPECT_EQ(did_you_mean("fot", kNames, "look"), "did you mean 'fit'?");
  EXPECT_EQ(did_you_mean("zzz", kNames, "look"), "look");
}

}  // namespace
}  // namespace snug

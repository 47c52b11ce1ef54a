#include "base/isolated.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "snug/error.hpp"

namespace snug {
namespace {

std::string problem_of(const std::function<std::string()>& work, const IsolationLimits& limits = {}) {
  try {
    return "no error but " + run_isolated("the work", work, limits);
  } catch (const Error& error) {
    return error.problem();
  }
}

TEST(Isolated, TheTextComesBackWhole) {
  EXPECT_EQ(run_isolated("the work", [] { return std::string{}; }), "");
  const std::string long_text(3'000'000, 'x');
  EXPECT_EQ(run_isolated("the work", [&] { return long_text + '\0'; }), long_text + '\0');
}

TEST(Isolated, ErrorsComeThrough) {
  try {
    run_isolated("the work", []() -> std::string { throw Error{"a", "b", "c"}; });
    FAIL() << "the error is lost";
  } catch (const Error& error) {
    EXPECT_EQ(error.problem(), "a");
    EXPECT_EQ(error.where(), "b");
    EXPECT_EQ(error.remedy(), "c");
  }
}

TEST(Isolated, NothingOfWhatItDoesStays) {
  int seen = 0;
  run_isolated("the work", [&] {
    seen = 1;
    return std::string{};
  });
  EXPECT_EQ(seen, 0);
}

TEST(Isolated, ACrashIsAnError) {
  EXPECT_NE(problem_of([]() -> std::string {
              std::raise(SIGKILL);
              return {};
            }).find("the work runs away"),
            std::string::npos);
}

TEST(Isolated, TimeIsLimited) {
  const auto forever = []() -> std::string {
    for (;;) pause();
  };
  EXPECT_NE(problem_of(forever, {.seconds = 1}).find("more than 1 s"), std::string::npos);
}

TEST(Isolated, TextIsLimited) {
  EXPECT_NE(
      problem_of([] { return std::string(2'000'000, 'x'); }, {.result_bytes = 1'000'000}).find("without end"),
      std::string::npos);
}

}  // namespace
}  // namespace snug

#include "base/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace snug {
namespace {

TEST(Parallel, VisitsEveryIndexOnce) {
  std::vector<std::atomic<int>> visits(1000);
  parallel_for(1000, [&](int64_t i) { ++visits[static_cast<size_t>(i)]; }, 7);
  for (const auto& count : visits) EXPECT_EQ(count, 1);
}

TEST(Parallel, RangesAreCutAtMultiplesOfTheGrain) {
  std::atomic<int64_t> covered = 0;
  parallel_ranges(103, 10, [&](int64_t begin, int64_t end) {
    EXPECT_EQ(begin % 10, 0);
    EXPECT_TRUE(end == begin + 10 || end == 103);
    covered += end - begin;
  });
  EXPECT_EQ(covered, 103);
}

TEST(Parallel, PassesExceptionsOn) {
  EXPECT_THROW(parallel_for(10, [](int64_t i) { if (i == 3) throw std::runtime_error{"three"}; }), std::runtime_error);
}

TEST(Parallel, NestsAndKeepsTheThreadLimit) {
  set_threads(1);
  EXPECT_EQ(threads(), 1);
  std::atomic<int> sum = 0;
  parallel_for(4, [&](int64_t) { parallel_for(4, [&](int64_t) { ++sum; }); });
  EXPECT_EQ(sum, 16);
  set_threads(0);
}

}  // namespace
}  // namespace snug

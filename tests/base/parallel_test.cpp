#include "base/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace snug {
namespace {

TEST(Parallel, VisitsEveryIndexOnce) {
  std::vector<std::atomic<int>> visits(1000);
  parallel_for(
      1000, [&](int64_t i) { ++visits[static_cast<size_t>(i)]; }, 7);
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
  EXPECT_THROW(parallel_for(10,
                            [](int64_t i) {
                              if (i == 3) throw std::runtime_error{"three"};
                            }),
               std::runtime_error);
}

TEST(Parallel, NestsAndKeepsTheThreadLimit) {
  set_threads(1);
  EXPECT_EQ(threads(), 1);
  std::atomic<int> sum = 0;
  parallel_for(4, [&](int64_t) { parallel_for(4, [&](int64_t) { ++sum; }); });
  EXPECT_EQ(sum, 16);
  set_threads(0);
}

TEST(Parallel, ThreadsKeptAwakeTakeEveryRangeOfEveryLoopOnce) {
  for (const int n : {1, 2, 5}) {
    SCOPED_TRACE(n);
    set_threads(n);
    std::vector<std::atomic<int>> visits(64);
    int64_t sum = 0;  // of what each loop left, read between them
    with_spinning_threads([&] {
      for (int loop = 0; loop < 2000; ++loop) {
        std::vector<int64_t> squares(static_cast<size_t>(loop % 64 + 1));
        parallel_for(loop % 64 + 1, [&](int64_t i) {
          ++visits[static_cast<size_t>(i)];
          squares[static_cast<size_t>(i)] = i * i;
        });
        for (const int64_t s : squares) sum += s;
      }
    });
    int64_t expected = 0;
    std::vector<int> loops(64);
    for (int loop = 0; loop < 2000; ++loop)
      for (int64_t i = 0; i <= loop % 64; ++i) expected += i * i, ++loops[static_cast<size_t>(i)];
    EXPECT_EQ(sum, expected);
    for (size_t i = 0; i < 64; ++i) EXPECT_EQ(visits[i], loops[i]) << i;
  }
  set_threads(0);
}

TEST(Parallel, ThreadsKeptAwakeNestAndPassExceptionsOn) {
  set_threads(3);
  std::atomic<int> sum = 0;
  const auto four_times_four = [&] {
    with_spinning_threads([&] {
      with_spinning_threads(
          [&] { parallel_for(4, [&](int64_t) { parallel_for(4, [&](int64_t) { ++sum; }); }); });
      parallel_for(4,
                   [&](int64_t) { with_spinning_threads([&] { parallel_for(4, [&](int64_t) { ++sum; }); }); });
    });
  };
  four_times_four();
  parallel_for(4, [&](int64_t) { four_times_four(); });
  EXPECT_EQ(sum, 5 * 32);
  for (int round = 0; round < 20; ++round)
    EXPECT_THROW(with_spinning_threads([&] {
                   parallel_for(100, [](int64_t i) {
                     if (i == 30) throw std::runtime_error{"thirty"};
                   });
                 }),
                 std::runtime_error);
  EXPECT_THROW(with_spinning_threads([] { throw std::runtime_error{"between loops"}; }), std::runtime_error);
  four_times_four();
  EXPECT_EQ(sum, 6 * 32);
  set_threads(0);
}

}  // namespace
}  // namespace snug

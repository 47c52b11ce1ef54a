#include "base/large_memory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>

namespace snug {
namespace {

TEST(LargeMemory, IsZeroAndMoves) {
  constexpr int64_t bytes = (int64_t{5} << 20) + 3;
  LargeMemory memory{bytes};
  std::byte* const data = memory.data();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 4096, 0u);
  EXPECT_TRUE(std::all_of(data, data + bytes, [](std::byte b) { return b == std::byte{0}; }));
  data[bytes - 1] = std::byte{7};
  LargeMemory other{std::move(memory)}, third;
  third = std::move(other);
  EXPECT_EQ(third.data(), data);
  EXPECT_EQ(third.data()[bytes - 1], std::byte{7});
  EXPECT_EQ(LargeMemory{}.data(), nullptr);
  EXPECT_EQ(LargeMemory{0}.data(), nullptr);
}

TEST(LargeMemory, MoreThanThereIsIsRefused) {
  EXPECT_THROW(LargeMemory{int64_t{1} << 60}, std::bad_alloc);
}

}  // namespace
}  // namespace snug

#include "base/files/mapped_scratch.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "infer/gathered.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

TEST(MappedScratch, IsZeroAndKeepsWhatIsWritten) {
  MappedScratch scratch{(int64_t{3} << 20) + 5};
  const auto bytes = scratch.bytes();
  ASSERT_EQ(bytes.size(), (size_t{3} << 20) + 5);
  EXPECT_TRUE(std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; }));
  std::ranges::fill(bytes, std::byte{9});
  EXPECT_EQ(std::ranges::count(bytes, std::byte{9}), std::ssize(bytes));
  EXPECT_TRUE(MappedScratch{0}.bytes().empty());
}

TEST(MappedScratch, SaysThatTheDiskIsFullBeforeAnythingIsWritten) {
  EXPECT_THROW(MappedScratch{int64_t{1} << 50}, Error);
}

TEST(Gathered, IsAsLongInMemoryAsInAFile) {
  for (const bool in_memory : {true, false}) EXPECT_EQ(infer::Gathered(777, in_memory).bytes().size(), 777u);
}

}  // namespace
}  // namespace snug

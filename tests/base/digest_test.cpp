#include "base/digest.hpp"

#include <gtest/gtest.h>

#include "snug/error.hpp"

namespace snug {
namespace {

TEST(Digest, IsTheKnownHashOfNothing) {
  EXPECT_EQ(digest_of({}).hex(), "99aa06d3014798d86001c324468d497f");  // XXH3-128 of the empty input, published
}

TEST(Digest, PartsDoNotRunIntoEachOther) {
  EXPECT_NE(Hasher{}.add("ab").add("c").finish(), Hasher{}.add("a").add("bc").finish());
  EXPECT_EQ(Hasher{}.add("ab").add(uint64_t{7}).finish(), Hasher{}.add("ab").add(uint64_t{7}).finish());
}

TEST(Digest, HexGoesBothWays) {
  const Digest digest = Hasher{}.add("x").finish();
  EXPECT_EQ(Digest::from_hex(digest.hex()), digest);
  EXPECT_THROW(Digest::from_hex("12"), Error);
  EXPECT_THROW(Digest::from_hex(std::string(32, 'G')), Error);
}

}  // namespace
}  // namespace snug

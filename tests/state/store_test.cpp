#include "snug/state.hpp"

#include <gtest/gtest.h>

#include "base/digest.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

Digest key_of(std::string_view text) { return Hasher{}.add(text).finish(); }
std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span{text.data(), text.size()}); }

TEST(Store, KeepsWhatWasPut) {
  const test::Scratch scratch;
  {
    Store store = Store::open(scratch / "s.state", Access::write);
    EXPECT_TRUE(store.report().created);
    store.put(RecordKind::measurement, key_of("a"), bytes("eleven"));
    store.sync();
  }
  const Store store = Store::open(scratch / "s.state", Access::read);
  const auto payload = store.get(RecordKind::measurement, key_of("a"));
  ASSERT_TRUE(payload);
  EXPECT_TRUE(std::ranges::equal(*payload, bytes("eleven")));
  EXPECT_FALSE(store.get(RecordKind::probe, key_of("a")));
}

}  // namespace
}  // namespace snug

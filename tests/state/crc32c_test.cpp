#include "state/crc32c.hpp"

#include "state/store_fixture.hpp"

namespace snug::state {
namespace {

uint32_t bit_by_bit(std::span<const std::byte> bytes) {
  uint32_t crc = ~0u;
  for (const std::byte b : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const bool odd = (crc ^ static_cast<uint32_t>(b) >> bit) & 1;
      crc = crc >> 1 ^ (odd ? 0x82F63B78u : 0);
    }
  return ~crc;
}

TEST(Crc32c, IsThePublishedValue) {
  EXPECT_EQ(crc32c(test::bytes("123456789")), 0xE3069283u);
  EXPECT_EQ(crc32c(test::Bytes(32)), 0x8A9136AAu);  // RFC 3720, B.4: 32 zero bytes
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32cProperty, AgreesWithTheDefinitionAndGoesOnFromAnyPoint) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random{seed};
    const test::Bytes bytes = test::random_payload(random);
    const std::span<const std::byte> all{bytes};
    const size_t cut = random() % (bytes.size() + 1);
    EXPECT_EQ(crc32c(all), bit_by_bit(all));
    EXPECT_EQ(crc32c(all.subspan(cut), crc32c(all.first(cut))), crc32c(all));
  }
}

}  // namespace
}  // namespace snug::state

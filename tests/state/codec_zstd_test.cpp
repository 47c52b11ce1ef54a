#include "state/codec_zstd.hpp"

#include <zstd.h>

#include "state/store_fixture.hpp"

namespace snug::state {
namespace {

TEST(CodecZstd, GoesBothWaysAndOnlyWhereItPays) {
  const test::Bytes plain(5000, std::byte{'a'});
  const auto stored = compress(plain);
  ASSERT_TRUE(stored);
  EXPECT_LT(stored->size(), plain.size() / 2);
  EXPECT_EQ(decompress(*stored), plain);

  std::mt19937_64 random{1};
  test::Bytes noise(5000);
  for (std::byte& b : noise) b = static_cast<std::byte>(random());
  EXPECT_FALSE(compress(noise));
  EXPECT_FALSE(compress(test::Bytes(20)));
}

TEST(CodecZstd, RefusesWhatIsNotOneWholeFrame) {
  test::Bytes stored = *compress(test::Bytes(5000, std::byte{'a'}));
  for (size_t n = 0; n < stored.size(); ++n) EXPECT_FALSE(decompress(std::span{stored}.first(n))) << n;
  test::Bytes longer = stored;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decompress(longer));
  test::Bytes twice = stored;
  twice.insert(twice.end(), stored.begin(), stored.end());
  EXPECT_FALSE(decompress(twice));
}

TEST(CodecZstd, AClaimedSizeIsNotBelieved) {
  // A whole frame: magic, descriptor for an 8-byte content size in one segment, 2^60 bytes, an empty last
  // block.
  const test::Bytes bomb = test::bytes(std::string{"\x28\xB5\x2F\xFD\xE0\0\0\0\0\0\0\0\x10\x01\0\0", 16});
  ASSERT_EQ(ZSTD_getFrameContentSize(bomb.data(), bomb.size()), uint64_t{1} << 60);
  ASSERT_EQ(ZSTD_findFrameCompressedSize(bomb.data(), bomb.size()), bomb.size());
  EXPECT_FALSE(decompress(bomb));
}

TEST(CodecZstd, WhatExpandsBeyondMeasureIsNeitherMadeNorRead) {
  const test::Bytes zeros(size_t{8} << 20);
  EXPECT_FALSE(compress(zeros)) << "it is stored as it is";
  test::Bytes bomb(ZSTD_compressBound(zeros.size()));
  bomb.resize(ZSTD_compress(bomb.data(), bomb.size(), zeros.data(), zeros.size(), 19));
  EXPECT_FALSE(decompress(bomb));
  const test::Bytes small(size_t{1} << 20);
  EXPECT_EQ(decompress(*compress(small)), small);
}

TEST(CodecZstdProperty, SpoiledFramesNeverCrash) {
  const test::Bytes stored = *compress(test::Bytes(5000, std::byte{'a'}));
  for (size_t i = 0; i < stored.size() * 8; ++i) {
    test::Bytes spoiled = stored;
    spoiled[i / 8] ^= static_cast<std::byte>(1 << i % 8);
    (void)decompress(spoiled);
  }
}

}  // namespace
}  // namespace snug::state

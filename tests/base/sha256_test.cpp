#include "base/sha256.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace snug {
namespace {

std::string sha256(std::string_view text, size_t piece) {
  Sha256 digest;
  for (size_t at = 0; at < text.size(); at += piece) {
    const std::string_view part = text.substr(at, piece);
    digest.add(std::as_bytes(std::span{part.data(), part.size()}));
  }
  return std::move(digest).hex();
}

/// The examples of FIPS 180-4, and lengths around those at which padding takes another block.
TEST(Sha256, GivesThePublishedDigestsHoweverItIsFed) {
  EXPECT_EQ(sha256("", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (const size_t piece : {1, 3, 64, 1000}) {
    EXPECT_EQ(sha256("abc", piece), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", piece),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(sha256(std::string(1'000'000, 'a'), piece), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  }
}

}  // namespace
}  // namespace snug

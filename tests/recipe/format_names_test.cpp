#include "recipe/format_names.hpp"

#include <gtest/gtest.h>

namespace snug {
namespace {

constexpr uint32_t kBeyondAnyId = 5000;

TEST(FormatNames, EveryIdThatHasALayoutIsFoundByItsName) {
  int known = 0;
  for (uint32_t id = 0; id < kBeyondAnyId; ++id) {
    if (block_shape(FormatId{id}).block_weights == 0) continue;
    EXPECT_EQ(format_of_name(format_name(FormatId{id})), FormatId{id}) << id;
    ++known;
  }
  EXPECT_GE(known, 33);
}

TEST(FormatNames, LettersMayBeOfEitherCase) {
  EXPECT_EQ(format_of_name("Q4_k"), FormatId::q4_K);
  EXPECT_EQ(format_of_name("I32"), FormatId::i32);
  EXPECT_EQ(format_of_name("?"), std::nullopt);
  EXPECT_EQ(format_of_name(""), std::nullopt);
}

}  // namespace
}  // namespace snug

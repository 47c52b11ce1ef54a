#include "calibrate/built_in_text.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "calibrate/calibration.hpp"
#include "infer/tiny_llama.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "infer/tokenizer/utf8.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

TEST(BuiltInText, IsUtf8ThatTellsNothingTwice) {
  const std::string text{built_in_text()};
  EXPECT_GT(text.size(), 60'000u);
  EXPECT_EQ(infer::valid_utf8(text), text);
  constexpr size_t kPiece = 120;
  for (size_t at = 0; at + kPiece < text.size(); at += kPiece)
    EXPECT_EQ(text.find(text.substr(at, kPiece), at + 1), std::string::npos) << text.substr(at, kPiece);
}

/// What a fit asks for unless told otherwise: 24 chunks of 256 tokens to measure on, and as many to judge by.
TEST(BuiltInText, IsLongEnoughForAFit) {
  const infer::Model model{open_model(test::tiny_model())};
  const CalibrationTokens text = calibration_tokens({kBuiltInText}, model);
  EXPECT_GE(text.tokens.size(), 2u * 24 * 256);
  EXPECT_EQ(text.bos, infer::Tokenizer{model.source()}.bos());
}

TEST(BuiltInText, NeedsATokenizer) {
  const test::Scratch scratch;
  test::write_tiny_llama({}, scratch / "bare.gguf");
  const infer::Model bare{open_model(scratch / "bare.gguf")};
  EXPECT_THROW(calibration_tokens({kBuiltInText}, bare), Error);
}

}  // namespace
}  // namespace snug

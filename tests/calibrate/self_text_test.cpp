#include "calibrate/self_text.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "infer/tiny_llama.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "calibrate/calibration.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

using Tokens = std::vector<int32_t>;

class SelfText : public testing::Test {
 protected:
  ~SelfText() override { set_threads(0); }
  test::Scratch scratch_;
  const infer::Model model_{open_model(test::tiny_model())};
  const SelfTextOptions options_{.tokens = 150, .document_tokens = 64};
};

TEST_F(SelfText, IsTheSameForTheSameSeedOnAnyNumberOfThreads) {
  const Tokens text = write_self_text(model_, options_, nullptr);
  EXPECT_EQ(text.size(), 150u);
  set_threads(1);
  EXPECT_EQ(write_self_text(model_, options_, nullptr), text);
  SelfTextOptions other = options_;
  other.seed = 2;
  EXPECT_NE(write_self_text(model_, other, nullptr), text);
}

TEST_F(SelfText, IsDocumentsThatDifferEachFromTheStart) {
  const int32_t bos = infer::Tokenizer{model_.source()}.bos();
  const Tokens text = write_self_text(model_, options_, nullptr);
  EXPECT_EQ(text[0], bos);
  const auto second = std::find(text.begin() + 1, text.end(), bos);
  ASSERT_NE(second, text.end());
  EXPECT_LE(second - text.begin(), 64);
  EXPECT_GE(second - text.begin(), 32);
  EXPECT_FALSE(std::equal(text.begin(), text.begin() + 20, second));
}

TEST_F(SelfText, ALongerOneBeginsWithTheShorter) {
  const Tokens text = write_self_text(model_, options_, nullptr);
  SelfTextOptions longer = options_;
  longer.tokens = 200;
  const Tokens more = write_self_text(model_, longer, nullptr);
  EXPECT_TRUE(std::equal(text.begin(), text.end(), more.begin()));
}

TEST_F(SelfText, WhatIsKeptIsNotWrittenAgain) {
  Store keep = Store::open(scratch_ / "state", Access::write);
  const Tokens text = write_self_text(model_, options_, &keep);
  const int64_t documents = keep.count(RecordKind::note);
  EXPECT_GE(documents, 3);
  EXPECT_EQ(write_self_text(model_, options_, &keep), text);
  EXPECT_EQ(keep.count(RecordKind::note), documents);
  EXPECT_EQ(write_self_text(model_, options_, nullptr), text);
}

TEST_F(SelfText, AModelWithoutATokenizerWritesAsWell) {
  test::write_tiny_llama({}, scratch_ / "bare.gguf");
  const infer::Model bare{open_model(scratch_ / "bare.gguf")};
  const CalibrationTokens text = calibration_tokens({kSelfText, {.tokens = 50, .document_tokens = 20}}, bare);
  EXPECT_EQ(text.tokens.size(), 50u);
  EXPECT_FALSE(text.bos);
  EXPECT_TRUE(std::ranges::all_of(text.tokens, [](int32_t t) { return t >= 0 && t < 40; }));
}

TEST_F(SelfText, StartsItsChunksAsATextFromAFileDoes) {
  const CalibrationTokens text = calibration_tokens({kSelfText, options_}, model_);
  EXPECT_EQ(text.bos, infer::Tokenizer{model_.source()}.bos());
  EXPECT_NE(text.name.find("seed 1"), std::string::npos);
}

}  // namespace
}  // namespace snug

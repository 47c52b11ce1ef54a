#include "eval/base_logits.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>
#include <random>

#include "eval/divergence.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug::infer {
namespace {

class BaseLogitsFile : public testing::Test {
 protected:
  BaseLogitsFile() {
    chunks.context = 8;
    chunks.tokens.resize(16);
    std::iota(chunks.tokens.begin(), chunks.tokens.end(), 0);
    std::mt19937_64 random{9};
    std::normal_distribution<float> normal{0, 6};
    for (Activations& rows : logits) {
      rows = Activations(chunks.scored(), kVocabulary);
      for (float& l : rows.values()) l = normal(random);
    }
  }

  std::string write() {
    BaseLogitsWriter writer{path, Existing::replace, chunks, kVocabulary};
    for (const Activations& rows : logits) writer.write_rows(rows);
    writer.commit();
    std::ifstream in{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  void put(const std::string& bytes) { std::ofstream{path, std::ios::binary} << bytes; }

  static constexpr int64_t kVocabulary = 33;  // odd: rows are padded
  test::Scratch scratch;
  const std::filesystem::path path = scratch / "base.kld";
  Chunks chunks;
  Activations logits[2];
};

TEST_F(BaseLogitsFile, HasTheLayoutOfTheReference) {
  const std::string bytes = write();
  ASSERT_EQ(bytes.size(), 20 + 16 * 4 + 2 * 3 * 2 * (34 + 4));
  EXPECT_EQ(bytes.substr(0, 8), "_logits_");
  int32_t numbers[4];
  std::memcpy(numbers, bytes.data() + 8, 16);
  EXPECT_EQ(numbers[0], 8);
  EXPECT_EQ(numbers[1], kVocabulary);
  EXPECT_EQ(numbers[2], 2);
  EXPECT_EQ(numbers[3], 0);  // the first token
}

TEST_F(BaseLogitsFile, GivesLogProbabilitiesBackToHalfAStep) {
  write();
  const BaseLogits file{path};
  EXPECT_EQ(file.vocabulary(), kVocabulary);
  EXPECT_EQ(file.chunks().tokens, chunks.tokens);
  std::vector<float> read(kVocabulary);
  for (int64_t c = 0; c < 2; ++c)
    for (int64_t r = 0; r < chunks.scored(); ++r) {
      file.read(c, r, read);
      std::vector<float> exact(logits[c].row(r).begin(), logits[c].row(r).end());
      const double log_sum = log_sum_exp(exact);
      for (float& l : exact) l -= static_cast<float>(log_sum);
      for (size_t i = 0; i < read.size(); ++i)
        if (exact[i] > -12)
          EXPECT_NEAR(read[i], exact[i], 16.0 / 65535 / 2 + 1e-5);
        else
          EXPECT_LE(read[i], -11.9);
    }
}

TEST_F(BaseLogitsFile, EveryTruncationIsRefused) {
  const std::string whole = write();
  for (size_t length = 0; length < whole.size(); length += 7) {
    put(whole.substr(0, length));
    EXPECT_THROW(BaseLogits{path}, Error) << length;
  }
}

TEST_F(BaseLogitsFile, SenselessHeadersAreRefused) {
  const std::string whole = write();
  for (const size_t at : {0u, 8u, 12u, 16u}) {
    for (const int32_t value : {-1, 0, 0x7fffffff, 1 << 30}) {
      std::string bad = whole;
      std::memcpy(bad.data() + at, &value, 4);
      put(bad);
      EXPECT_THROW(BaseLogits{path}, Error) << at << " " << value;
    }
  }
  std::string stranger = whole;
  stranger[20] = 40;  // a token outside the vocabulary
  put(stranger);
  EXPECT_THROW(BaseLogits{path}, Error);
}

}  // namespace
}  // namespace snug::infer

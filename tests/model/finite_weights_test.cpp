#include "model/finite_weights.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "gguf/reader.hpp"
#include "snug/error.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

constexpr int64_t kCols = 64, kRows = 900;

std::vector<float> weights(int64_t bad, float value) {
  std::vector<float> all(kCols * kRows, 0.5f);
  if (bad >= 0) all[static_cast<size_t>(bad)] = value;
  return all;
}

class FiniteWeights : public testing::Test {
 protected:
  std::string said(const std::vector<float>& values) const {
    const auto path = scratch_ / "model.gguf";
    test::GgufBytes{}
        .f32("norm.weight", {4}, {1, 2, 3, 4})
        .f32("table.weight", {kCols, kRows}, values)
        .save(path);
    try {
      check_finite(gguf::read_model(path));
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  const test::Scratch scratch_;
};

TEST_F(FiniteWeights, FileTensorRowAndColumnAreNamed) {
  EXPECT_EQ(said(weights(-1, 0)), "");
  EXPECT_EQ(said(weights(0, std::numeric_limits<float>::max())), "");
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    const std::string text = said(weights(700 * kCols + 5, bad));
    for (const char* part : {"table.weight", "row 700, column 5", "model.gguf"})
      EXPECT_NE(text.find(part), std::string::npos) << text;
  }
}

TEST_F(FiniteWeights, TheFirstOfSeveralIsNamedOnAnyThreads) {
  std::vector<float> values = weights(700 * kCols + 5, NAN);
  values[3 * kCols + 63] = INFINITY;
  EXPECT_NE(said(values).find("row 3, column 63"), std::string::npos);
}

TEST_F(FiniteWeights, AStateRemembersWhatWasFinite) {
  const auto path = scratch_ / "model.gguf";
  Store state = Store::open(scratch_ / "state", Access::write);
  ASSERT_EQ(said(weights(-1, 0)), "");
  check_finite_once(gguf::read_model(path), state);
  EXPECT_EQ(state.count(RecordKind::note), 1);
  check_finite_once(gguf::read_model(path), state);
  EXPECT_EQ(state.count(RecordKind::note), 1);
  ASSERT_NE(said(weights(1, NAN)), "");
  EXPECT_THROW(check_finite_once(gguf::read_model(path), state), Error);
}

}  // namespace
}  // namespace snug

#include "imatrix/hessian_factors.hpp"

#include <gtest/gtest.h>

#include <random>

#include "encode/encode_tensor.hpp"
#include "snug/error.hpp"
#include "tests/support/scratch.hpp"

namespace snug {
namespace {

constexpr int64_t kCols = 256, kRows = 24, kExperts = 3;

/// An imatrix with the moments of one input of kExperts matrices; the last expert was never hit.
class Moments : public ::testing::Test {
 protected:
  void SetUp() override {
    std::mt19937 random{7};
    std::normal_distribution<float> normal;
    sums_.resize(kExperts * kCols * kCols);
    for (int64_t e = 0; e < kExperts - 1; ++e)
      for (int token = 0; token < kTokens; ++token) {
        std::vector<float> x(kCols);
        const float common = 2 * normal(random);
        for (float& v : x) v = common + normal(random);
        for (int64_t i = 0; i < kCols; ++i)
          for (int64_t j = 0; j < kCols; ++j)
            sums_[static_cast<size_t>((e * kCols + i) * kCols + j)] +=
                x[static_cast<size_t>(i)] * x[static_cast<size_t>(j)];
      }
    for (float& w : weights_) w = 0.02f * normal(random);
    Hessian moment{"blk.0.ffn_down_exps.weight",
                        {"blk.0.ffn_down_exps.weight"},
                        kCols,
                        kExperts,
                        {kTokens, kTokens, 0},
                        sums_};
    path_ = scratch_ / "imatrix.gguf";
    write_imatrix(path_, {}, {&moment, 1}, Existing::replace);
    tensor_.name = "blk.0.ffn_down_exps.weight";
    tensor_.format = FormatId::f32;
    tensor_.dims = 3;
    tensor_.shape = {kCols, kRows, kExperts, 1};
    tensor_.data = std::as_bytes(std::span{weights_}).data();
  }

  static constexpr int kTokens = 400;
  test::Scratch scratch_;
  std::filesystem::path path_;
  std::vector<float> sums_, weights_ = std::vector<float>(kCols * kRows * kExperts);
  Tensor tensor_;
};

TEST_F(Moments, AreFoundByExpertAndKept) {
  const Hessians moments{path_};
  HessianFactors curvatures{moments};
  const auto first = curvatures.find(tensor_, 0);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->cols, kCols);
  EXPECT_NEAR(first->moment_row(5)[5], sums_[5 * kCols + 5] / kTokens, 1e-4);
  EXPECT_EQ(curvatures.find(tensor_, 0), first);
  EXPECT_NE(curvatures.find(tensor_, 1), first);
  EXPECT_EQ(curvatures.find(tensor_, 2), nullptr) << "an expert that saw nothing";
  Tensor other = tensor_;
  other.name = "blk.1.ffn_down_exps.weight";
  EXPECT_EQ(curvatures.find(other, 0), nullptr);
}

TEST_F(Moments, OfAnotherShapeAreRefused) {
  const Hessians moments{path_};
  HessianFactors curvatures{moments};
  Tensor other = tensor_;
  other.shape = {kCols / 2, kRows * 2, kExperts, 1};
  EXPECT_THROW(curvatures.find(other, 0), Error);
  other.shape = {kCols, kRows, kExperts + 1, 1};
  EXPECT_THROW(curvatures.find(other, 0), Error);
}

TEST_F(Moments, MakeEncodeTensorBetterWhereThereAreSome) {
  const Hessians moments{path_};
  HessianFactors curvatures{moments};
  const Format& format = *find_format("iq2_s");
  const Encoded before = encode_tensor(tensor_, format, nullptr),
                after = encode_tensor(tensor_, format, nullptr, Effort::normal, &curvatures);
  ASSERT_EQ(before.data.size(), after.data.size());
  std::vector<float> decoded(kCols);
  const auto error = [&](const Encoded& encoded, int64_t mat) {
    double sum = 0;
    for (int64_t r = mat * kRows; r < (mat + 1) * kRows; ++r) {
      format.decode(encoded.data.data() + r * format.row_bytes(kCols), decoded);
      sum += curved_error({weights_.data() + r * kCols, kCols}, decoded, *curvatures.find(tensor_, mat),
                          kAlongRow);
    }
    return sum;
  };
  EXPECT_LT(error(after, 0), 0.8 * error(before, 0));
  EXPECT_LT(error(after, 1), 0.8 * error(before, 1));
  const auto unseen = [&](const Encoded& e) {
    return std::vector(e.data.end() - kRows * format.row_bytes(kCols), e.data.end());
  };
  EXPECT_EQ(unseen(after), unseen(before));
}

/// A matrix of 24 rows in two groups; the second group saw next to nothing.
class GroupMoments : public Moments {
 protected:
  void SetUp() override {
    Moments::SetUp();
    tensor_.name = "output.weight";
    tensor_.dims = 2;
    tensor_.shape = {kCols, kRows, 1, 1};
    const size_t one = kCols * kCols;
    const Hessian whole{"output.weight", {"output.weight"},          kCols, 1,
                             {kTokens},       std::span{sums_}.first(one)};
    groups_.assign(sums_.begin() + one, sums_.begin() + 2 * one);
    for (size_t i = 0; i < one; ++i) groups_.push_back(1e-4f * groups_[i]);
    const std::string name = rows_input("output.weight");
    Hessian rows{name, {name}, kCols, 2, {kTokens, kTokens}, groups_};
    for (int r = 0; r < kRows; ++r) rows.row_groups.push_back(r % 3 == 0);
    write_imatrix(path_, {}, std::vector{whole, rows}, Existing::replace);
  }
  std::vector<float> groups_;
};

TEST_F(GroupMoments, AreDrawnTowardsTheWholeWhereTheySawLittle) {
  const Hessians moments{path_};
  HessianFactors curvatures{moments};
  const auto sets = curvatures.row_sets(tensor_);
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_EQ(sets[0].size(), 16u);
  EXPECT_EQ(sets[1], (std::vector<int64_t>{0, 3, 6, 9, 12, 15, 18, 21}));
  const auto whole = curvatures.find(tensor_, 0), much = curvatures.find_row(tensor_, 1);
  const auto little = curvatures.find_row(tensor_, 0);
  EXPECT_NE(little, much);
  EXPECT_EQ(curvatures.find_row(tensor_, 3), little);
  const auto trace = [](const float* m) {
    double sum = 0;
    for (int64_t j = 0; j < kCols; ++j) sum += m[j * kCols + j];
    return sum;
  };
  // tokens of average size, beside the 10 that the whole stands for
  const double tokens = trace(groups_.data()) / trace(sums_.data()) * kTokens;
  for (const int64_t j : {0, 7, 200}) {
    const float all = sums_[static_cast<size_t>(j * kCols + j)] / kTokens;
    const double own = groups_[static_cast<size_t>(j * kCols + j)];
    EXPECT_NEAR(whole->moment_row(j)[j], all, 1e-5 * all);
    EXPECT_NEAR(much->moment_row(j)[j], (own + 10 * all) / (tokens + 10), 1e-4 * all);
    EXPECT_NEAR(little->moment_row(j)[j], all, 0.02 * all);
  }
}

TEST_F(GroupMoments, EncodeEachRowForItsGroup) {
  const Hessians moments{path_};
  HessianFactors curvatures{moments};
  const Format& format = *find_format("iq3_xxs");
  const Encoded encoded = encode_tensor(tensor_, format, nullptr, Effort::normal, &curvatures);
  const auto bytes = static_cast<size_t>(format.row_bytes(kCols));
  std::vector<std::byte> blocks(bytes);
  for (int64_t r = 0; r < kRows; ++r) {
    const Matrix<const float> row{weights_.data() + r * kCols, 1, kCols};
    encode_rows(format, row, columns_of(nullptr, tensor_, r), curvatures.find_row(tensor_, r).get(),
                Effort::normal, blocks);
    EXPECT_TRUE(
        std::equal(blocks.begin(), blocks.end(), encoded.data.begin() + r * static_cast<int64_t>(bytes)))
        << r;
  }
}

TEST_F(GroupMoments, OfAnotherModelAreRefused) {
  const Hessians moments{path_};
  HessianFactors curvatures{moments};
  tensor_.shape = {kCols, kRows - 1, 1, 1};
  EXPECT_THROW(curvatures.row_sets(tensor_), Error);
}

TEST(Shrink, FallsWithTokensAndNeverVanishes) {
  EXPECT_EQ(HessianFactors::shrink(256, 0), 1);
  EXPECT_GT(HessianFactors::shrink(256, 100), HessianFactors::shrink(256, 1000));
  EXPECT_NEAR(HessianFactors::shrink(256, 1e9), 0.1, 1e-3);
  EXPECT_GT(HessianFactors::shrink(4096, 1000), HessianFactors::shrink(256, 1000));
}

}  // namespace
}  // namespace snug

// Folds change no output: checked with factors that are powers of two, which leave every product the same bit for bit,
// on a random model of every architecture; and what is known of inputs follows them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "calibrate/collect.hpp"
#include "fold/choose.hpp"
#include "infer/session.hpp"
#include "snug/error.hpp"
#include "snug/quantize.hpp"
#include "support/arch_model_name.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

std::vector<int32_t> some_tokens(const infer::Model& model, size_t count) {
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<int32_t>(i * 37 + 11 * (i / 5)) % static_cast<int32_t>(model.vocabulary());
  return tokens;
}

std::vector<float> logits_of(const ModelSource& source) {
  const infer::Model model{source};
  const auto logits = infer::Session{model, {.context = 48}}.forward(some_tokens(model, 48));
  return {logits.values().begin(), logits.values().end()};
}

/// A quarter to four for every channel of every pair.
Fold by_powers_of_two(const std::vector<FoldPair>& pairs) {
  std::mt19937 random{7};
  Fold fold;
  for (const FoldPair& pair : pairs) {
    std::vector<float> factors(static_cast<size_t>(pair.matrices * pair.channels));
    for (float& factor : factors) factor = std::ldexp(1.0f, static_cast<int>(random() % 5) - 2);
    fold.add(pair, factors);
  }
  return fold;
}

class Folds : public testing::TestWithParam<tools::ArchModel> {
 protected:
  ModelSource model(uint64_t seed) const {
    tools::write_arch_model(GetParam(), seed, scratch_ / "model.gguf");
    return open_model(scratch_ / "model.gguf");
  }
  Importance collected(const ModelSource& source, const char* name, std::optional<Hessians>& moments) const {
    const infer::Model runs{source};
    const CalibrationTokens text{some_tokens(runs, 64), std::nullopt, "tokens"};
    collect_imatrix(runs, text, {.chunk_tokens = 32, .full = true}, scratch_ / name, Existing::replace);
    moments.emplace(scratch_ / name);
    return Importance::load(scratch_ / name);
  }
  test::Scratch scratch_;
};

TEST_P(Folds, ByPowersOfTwoChangeNoBitOfAnOutput) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    SCOPED_TRACE(testing::Message() << "make_arch_model " << GetParam().name << " --seed " << seed);
    const ModelSource source = model(seed);
    const std::vector<FoldPair> pairs = fold_pairs(source);
    const Fold fold = by_powers_of_two(pairs);
    EXPECT_EQ(logits_of(fold.of(source)), logits_of(source));
    std::set<std::string> names;
    for (const FoldPair& pair : pairs) EXPECT_TRUE(names.insert(pair.name).second) << pair.name;
    EXPECT_GT(fold.tensors().size(), pairs.size());
    if (source.tensors().size() > 200) break;  // two of them are deep: once is enough
  }
}

/// Half of the factors on one tensor alone: the test above sees what it is there to see.
TEST_P(Folds, WithAReaderLeftOutChangeOutputs) {
  const ModelSource source = model(0);
  FoldPair pair = fold_pairs(source).front();
  pair.readers.pop_back();
  Fold fold;
  fold.add(pair, std::vector<float>(static_cast<size_t>(pair.matrices * pair.channels), 2.0f));
  EXPECT_NE(logits_of(fold.of(source)), logits_of(source));
}

TEST_P(Folds, DivideWhatIsKnownOfInputs) {
  const ModelSource source = model(0);
  const Fold fold = by_powers_of_two(fold_pairs(source));
  std::optional<Hessians> moments, folded_moments;
  Importance importance = collected(source, "plain.gguf", moments);
  const Importance folded = collected(fold.of(source), "folded.gguf", folded_moments);
  fold.divide_inputs(importance);
  fold.divide_inputs(*moments);
  ASSERT_FALSE(importance.tensors().empty());
  for (const auto& [name, data] : importance.tensors()) {
    const TensorImportance* other = folded.find(name);
    ASSERT_TRUE(other) << name;
    EXPECT_EQ(data.mean_square, other->mean_square) << name;
    EXPECT_EQ(data.mean, other->mean) << name;
  }
  for (const auto& [name, moment] : moments->inputs())
    for (int64_t m = 0; m < moment.mats && moment.row_groups.empty(); ++m)
      EXPECT_EQ(mean_moment(moment, m), mean_moment(*folded_moments->find(name), m)) << name << ", matrix " << m;
}

INSTANTIATE_TEST_SUITE_P(All, Folds, testing::ValuesIn(tools::arch_models().begin(), tools::arch_models().end()),
                         [](const auto& model) { return std::string{model.param.name}; });

class ChosenFolds : public testing::Test {
 protected:
  const ModelSource tiny_ = open_model(test::tiny_model());
  const Importance importance_ = Importance::load(test::tiny_imatrix());
  const LikelyFormat three_bits_ = [](const Tensor& tensor) {
    return tensor.dims > 1 ? FormatId::mlx_q3_g64 : tensor.format;
  };
};

double error_of(const ModelSource& model, const Importance& importance, FormatId id, std::string_view name) {
  const Tensor& tensor = *model.find(name);
  const Format& format = *find_format(id);
  std::vector<float> row(static_cast<size_t>(tensor.cols())), decoded(row.size());
  std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(tensor.cols())));
  double error = 0;
  for (int64_t r = 0; r < tensor.rows(); ++r) {
    tensor.read_row(r, row);
    const ColumnWeights columns = columns_of(importance.find(name), tensor, r);
    quantize(format, {row.data(), 1, tensor.cols()}, columns, Effort::normal, blocks);
    format.decode(blocks.data(), decoded);
    error += weighted_error(row, decoded, columns);
  }
  return error;
}

TEST_F(ChosenFolds, LowerTheErrorOfAllRowsOfTheTensorsTheyWereChosenFor) {
  const std::vector<RecipeFold> folds = choose_folds(tiny_, importance_, three_bits_);
  ASSERT_FALSE(folds.empty());
  const ModelSource folded = fold_of(tiny_, importance_, folds).of(tiny_);
  Importance divided = importance_;
  fold_of(tiny_, importance_, folds).divide_inputs(divided);
  for (const FoldPair& pair : fold_pairs(tiny_)) {
    if (std::ranges::find(folds, pair.name, &RecipeFold::pair) == folds.end()) continue;
    double ratios = 0;
    for (const Tensor* reader : pair.readers)
      ratios += error_of(folded, divided, FormatId::mlx_q3_g64, reader->name) /
                error_of(tiny_, importance_, FormatId::mlx_q3_g64, reader->name);
    EXPECT_LT(ratios, 0.99 * static_cast<double>(pair.readers.size())) << pair.name;
  }
}

TEST_F(ChosenFolds, ChangeLogitsByRoundingAlone) {
  const std::vector<RecipeFold> folds = choose_folds(tiny_, importance_, three_bits_);
  const std::vector<float> before = logits_of(tiny_), after = logits_of(fold_of(tiny_, importance_, folds).of(tiny_));
  double square = 0, worst = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    square += double{before[i]} * before[i];
    worst = std::max(worst, std::abs(double{after[i]} - before[i]));
  }
  EXPECT_GT(worst, 0);
  EXPECT_LT(worst, 5e-3 * std::sqrt(square / static_cast<double>(before.size())));  // weights are rounded to F16
}

TEST_F(ChosenFolds, OfAnotherModelsImatrixAreRefused) {
  EXPECT_THROW(choose_folds(tiny_, Importance::from({}, "empty"), three_bits_), Error);
  const RecipeFold unknown{"blk.99.attn_norm", 0.5, 0};
  EXPECT_THROW(fold_of(tiny_, importance_, {&unknown, 1}), Error);
}

}  // namespace
}  // namespace snug

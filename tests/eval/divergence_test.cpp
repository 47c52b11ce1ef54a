#include "eval/divergence.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "eval/evaluate.hpp"
#include "infer/tiny_llama.hpp"
#include "base/memory.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug::infer {
namespace {

constexpr double kNoFloor = -std::numeric_limits<double>::infinity();

TEST(Divergence, OfAHandComputedRow) {
  // base p = (1/2, 1/4, 1/4), model q = (1/4, 1/2, 1/4): KL = 1/2 ln 2 + 1/4 ln(1/2) = ln(2) / 4.
  const std::vector<float> base{std::log(0.5f), std::log(0.25f), std::log(0.25f)};
  const std::vector<float> logits{10.0f, 10.0f + std::log(2.0f), 10.0f};
  const TokenPair pair = compare({base, 0, kNoFloor}, logits, 0);
  EXPECT_NEAR(pair.divergence, std::log(2.0) / 4, 1e-6);
  EXPECT_NEAR(pair.model.loss, std::log(4.0), 1e-6);
  EXPECT_NEAR(pair.base.loss, std::log(2.0), 1e-6);
  EXPECT_EQ(pair.model.likeliest, 1);
  EXPECT_EQ(pair.base.likeliest, 0);
}

TEST(Divergence, OfAModelFromItselfIsZero) {
  std::mt19937_64 random{3};
  std::normal_distribution<float> normal{0, 4};
  std::vector<float> logits(5000);
  for (float& l : logits) l = normal(random);
  const TokenPair pair = compare({logits, log_sum_exp(logits), kNoFloor}, logits, 17);
  EXPECT_EQ(pair.divergence, 0);
  EXPECT_EQ(pair.model.loss, pair.base.loss);
}

TEST(Divergence, TheFloorLeavesOutUnlikelyTokens) {
  const std::vector<float> base{-1e-7f, -16.5f};
  const std::vector<float> logits{0, 5};
  EXPECT_NE(compare({base, 0, kNoFloor}, logits, 0).divergence,
            compare({base, 0, -16}, logits, 0).divergence);
}

TEST(Divergence, SummaryIsMeanErrorMedianAndPercentiles) {
  std::vector<TokenPair> pairs;
  for (int i = 0; i <= 100; ++i) {
    TokenPair p;
    p.divergence = static_cast<float>(i);
    p.model = {1.0f, i % 4};
    p.base = {i < 50 ? 1.0f : 2.0f, 0};
    pairs.push_back(p);
  }
  const Divergence d = summarise(pairs);
  EXPECT_EQ(d.tokens, 101);
  EXPECT_DOUBLE_EQ(d.kl.value, 50);
  EXPECT_NEAR(d.kl.error, std::sqrt((100.0 * 101 * 201 / 6 / 101 - 2500) / 100), 1e-9);
  EXPECT_DOUBLE_EQ(d.kl_median, 50);
  EXPECT_DOUBLE_EQ(d.kl_max, 100);
  EXPECT_DOUBLE_EQ(d.percentiles.back().kl, 99.9);
  EXPECT_NEAR(d.same_top.value, 26.0 / 101, 1e-12);
  EXPECT_NEAR(d.log_ratio.value, -51.0 / 101, 1e-12);
  EXPECT_NEAR(d.shift.value, 51.0 / 101 * (std::exp(-1.0) - std::exp(-2.0)), 1e-12);
  EXPECT_NEAR(d.model.perplexity.value, std::exp(1.0), 1e-12);
  EXPECT_EQ(worst_tokens(pairs, 2), (std::vector<size_t>{100, 99}));
}

TEST(Divergence, NoTokensGiveNoFigures) {
  EXPECT_EQ(summarise(std::span<const TokenPair>{}).tokens, 0);
  EXPECT_EQ(worst_tokens({}, 5).size(), 0u);
}

class EvaluateTinyModel : public testing::Test {
 protected:
  EvaluateTinyModel() {
    test::write_tiny_llama({}, scratch / "base.gguf");
    test::write_tiny_llama({.format = FormatId::bf16}, scratch / "model.gguf");
    std::mt19937_64 random{5};
    for (int i = 0; i < 100; ++i) text.push_back(static_cast<int32_t>(random() % 40));
  }

  test::Scratch scratch;
  std::vector<int32_t> text;
};

TEST_F(EvaluateTinyModel, ChunksAreWholeAndTheSecondHalfIsScored) {
  const Chunks chunks = cut_into_chunks(text, 16, 0);
  EXPECT_EQ(chunks.count(), 6);
  EXPECT_EQ(chunks.scored(), 7);
  EXPECT_EQ(cut_into_chunks(text, 16, 2).count(), 2);
  EXPECT_EQ(cut_into_chunks(text, 16, 99).count(), 6);
  EXPECT_THROW(cut_into_chunks(text, 51, 0), Error);
  EXPECT_THROW(cut_into_chunks(text, 2, 0), Error);
}

TEST_F(EvaluateTinyModel, ScoresAreThoseOfTheLogits) {
  const Model model{open_model(scratch / "base.gguf")};
  Session session{model, {.context = 16}};
  const Chunks chunks = cut_into_chunks(text, 16, 3);
  const std::vector<TokenScore> scores = score_chunks(session, chunks, 1, nullptr, {});
  ASSERT_EQ(scores.size(), 21u);
  std::vector<int32_t> second{chunks.chunk(1).begin(), chunks.chunk(1).end()};
  second[0] = 1;
  const Activations logits = Session{model, {}}.forward(second);
  for (int i = 0; i < 7; ++i)
    EXPECT_EQ(scores[static_cast<size_t>(7 + i)].loss,
              score(logits.row(8 + i), second[static_cast<size_t>(9 + i)]).loss);
}

TEST_F(EvaluateTinyModel, ABaseLogitsFileGivesWhatTheModelItselfGives) {
  const Model original{open_model(scratch / "base.gguf")}, model{open_model(scratch / "model.gguf")};
  Session base{original, {}}, session{model, {}};
  const Chunks chunks = cut_into_chunks(text, 16, 0);
  BaseLogitsWriter writer{scratch / "logits", Existing::refuse, chunks, 40};
  const std::vector<TokenPair> beside = compare_chunks(session, base, chunks, 1, &writer, {});
  writer.commit();
  const std::vector<TokenPair> from_file = compare_chunks(session, BaseLogits{scratch / "logits"}, 0, 1, {});
  ASSERT_EQ(beside.size(), from_file.size());
  const Divergence a = summarise(beside), b = summarise(from_file);
  EXPECT_GT(a.kl.value, 1e-7);
  EXPECT_NEAR(b.kl.value, a.kl.value, 0.02 * a.kl.value);
  EXPECT_NEAR(b.base.perplexity.value, a.base.perplexity.value, 1e-3);
  EXPECT_EQ(b.model.perplexity.value, a.model.perplexity.value);
}

TEST_F(EvaluateTinyModel, WhatStandsInForAWeightIsJudged) {
  const Model model{open_model(scratch / "base.gguf")};
  const Chunks chunks = cut_into_chunks(text, 16, 2);
  Session base{model, {}}, session{model, {}};
  const Weight& weight = *model.find("blk.1.ffn_down.weight");
  const std::vector<std::byte> zeros(static_cast<size_t>(weight.bytes()));
  session.replace(weight.name, *weight.format, zeros);
  EXPECT_GT(summarise(compare_chunks(session, base, chunks, 1, nullptr, {})).kl.value, 1e-6);
  session.restore_all();
  EXPECT_EQ(summarise(compare_chunks(session, base, chunks, 1, nullptr, {})).kl.value, 0);
}

/// Layer by layer, as a model is run that does not fit into memory.
TEST_F(EvaluateTinyModel, LittleMemoryGivesTheSameBits) {
  const Model original{open_model(scratch / "base.gguf")}, model{open_model(scratch / "model.gguf")};
  const Chunks chunks = cut_into_chunks(text, 16, 0);
  for (const Compute compute : {Compute::exact, Compute::fast}) {
    const Session base{original, {.context = 16, .compute = compute}};
    const Session session{model, {.context = 16, .batch = 7, .compute = compute}};
    const auto losses = [&] {
      std::vector<float> all;
      for (const TokenPair& pair : compare_chunks(session, session, chunks, 1, nullptr, {}))
        all.push_back(pair.model.loss);
      for (const TokenPair& pair : compare_chunks(base, base, chunks, {}, nullptr, {})) all.push_back(pair.divergence);
      for (const TokenScore& score : score_chunks(session, chunks, 1, nullptr, {})) all.push_back(score.loss);
      return all;
    };
    const std::vector<float> in_memory = losses();
    set_memory_limit(10000);
    EXPECT_EQ(losses(), in_memory);
    set_memory_limit(0);
  }
}

}  // namespace
}  // namespace snug::infer

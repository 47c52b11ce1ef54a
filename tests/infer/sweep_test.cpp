// A sweep beside sessions, on random models of every architecture.
#include "infer/sweep.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/parallel.hpp"
#include "infer/tiny_llama.hpp"
#include "snug/error.hpp"
#include "support/arch_model_name.hpp"
#include "support/scratch.hpp"

namespace snug::infer {
namespace {

constexpr int64_t kTokens = 40, kInMemory = int64_t{1} << 40, kSpilled = 0;

std::vector<std::vector<int32_t>> some_texts(const Model& model) {
  std::vector<std::vector<int32_t>> texts(3);
  for (size_t c = 0; c < texts.size(); ++c)
    for (size_t i = 0; i < kTokens - c; ++i)
      texts[c].push_back(static_cast<int32_t>(i * 37 + 11 * (i / 5) + 5 * c) % static_cast<int32_t>(model.vocabulary()));
  return texts;
}

bool same(const Activations& a, const Activations& b) {
  return a.count() == b.count() && std::ranges::equal(std::as_bytes(a.values()), std::as_bytes(b.values()));
}

void to_the_end(Sweep& sweep, const Model& model, size_t sequences, const SweepStep& how = {}) {
  for (int block = 0; block < model.layers(); ++block)
    parallel_for(static_cast<int64_t>(sequences), [&](int64_t s) {
      if (sweep.next_block(static_cast<size_t>(s)) == block) sweep.step(static_cast<size_t>(s), how);
    });
}

class SweepOf : public testing::TestWithParam<tools::ArchModel> {
 protected:
  ~SweepOf() override { set_threads(0); }

  void expect_what_sessions_say(const Model& model, const SessionOptions& options, int64_t memory) {
    const auto texts = some_texts(model);
    Sweep sweep{model, options, memory};
    for (const auto& text : texts) sweep.begin(text);
    to_the_end(sweep, model, texts.size());
    EXPECT_EQ(sweep.spilled_bytes() > 0, memory == kSpilled);
    for (size_t s = 0; s < texts.size(); ++s) {
      const Activations expected = Session{model, options}.forward(texts[s]);
      EXPECT_TRUE(same(sweep.head(sweep.hidden(s)), expected)) << "sequence " << s;
    }
  }

  test::Scratch scratch_;
};

TEST_P(SweepOf, GivesTheBitsOfSessionsInMemoryAndSpilledOnAnyThreads) {
  for (uint64_t seed = 0; seed < 2; ++seed) {
    SCOPED_TRACE(testing::Message() << "make_arch_model " << GetParam().name << " --seed " << seed);
    tools::write_arch_model(GetParam(), seed, scratch_ / "model.gguf");
    const Model model{open_model(scratch_ / "model.gguf")};
    if (model.layers() > 20 && seed > 0) return;
    for (const int threads : {1, 3}) {
      set_threads(threads);
      for (const int64_t memory : {kInMemory, kSpilled}) {
        expect_what_sessions_say(model, {.context = kTokens}, memory);
        expect_what_sessions_say(model, {.context = kTokens, .batch = 7, .cache = FormatId::f16}, memory);
      }
    }
    expect_what_sessions_say(model, {.context = kTokens, .compute = Compute::fast}, kSpilled);
  }
}

/// A branch goes on by itself from where it left, with what stands in for weights; places can be kept elsewhere.
TEST_P(SweepOf, BranchesAndPlacesGoOnFromWhereTheyWere) {
  tools::write_arch_model(GetParam(), 1, scratch_ / "model.gguf");
  const Model model{open_model(scratch_ / "model.gguf")};
  const auto texts = some_texts(model);
  const int last = model.layers() - 1;
  Sweep sweep{model, {.context = kTokens}, kSpilled};
  const size_t trunk = sweep.begin(texts[0]);
  while (sweep.next_block(trunk) < last) sweep.step(trunk);
  const size_t branch = sweep.branch(trunk), moved = sweep.begin(texts[0]);
  sweep.stand(moved, last, sweep.place(trunk));

  const auto in_last = [&](const auto& entry) { return entry.first.starts_with("blk." + std::to_string(last) + "."); };
  const auto found = std::ranges::find_if(model.weights(), in_last);
  ASSERT_NE(found, model.weights().end());
  const Weight& weight = found->second;
  const std::vector<std::byte> zeros(static_cast<size_t>(weight.bytes()));
  Weight other = weight;
  other.data = zeros;
  other.parts.clear();
  const Replacements replaced{{&weight, other}};
  sweep.step(branch, {nullptr, &replaced});
  sweep.step(trunk);
  sweep.step(moved);

  Session plain{model, {.context = kTokens}}, changed{model, {.context = kTokens}};
  changed.replace(weight.name, *weight.format, zeros);
  const Activations expected = plain.forward(texts[0]);
  EXPECT_TRUE(same(sweep.head(sweep.hidden(trunk)), expected));
  EXPECT_TRUE(same(sweep.head(sweep.hidden(moved)), expected));
  EXPECT_TRUE(same(sweep.head(sweep.hidden(branch), {nullptr, &replaced}), changed.forward(texts[0])));
}

INSTANTIATE_TEST_SUITE_P(Models, SweepOf, testing::ValuesIn(tools::arch_models().begin(), tools::arch_models().end()),
                         [](const auto& model) { return std::string{model.param.name}; });

class SweepOnTinyLlama : public testing::Test {
 protected:
  SweepOnTinyLlama() {
    test::write_tiny_llama({}, scratch_ / "model.gguf");
    model_.emplace(open_model(scratch_ / "model.gguf"));
  }
  test::Scratch scratch_;
  std::optional<Model> model_;
};

TEST_F(SweepOnTinyLlama, AStepThatDoesNotGoOnShowsTheSameAgain) {
  Sweep sweep{*model_, {.context = 8}, kInMemory};
  const size_t sequence = sweep.begin(std::vector<int32_t>{1, 5, 9});
  const Activations before = sweep.hidden(sequence);
  std::vector<float> shown[2];
  for (auto& values : shown) {
    Hooks hooks;
    hooks.on_linear = [&](const Weight&, int64_t, Matrix<const float> x) {
      values.insert(values.end(), x.data, x.data + x.rows * x.cols);
    };
    sweep.step(sequence, {&hooks, nullptr}, false);
  }
  EXPECT_FALSE(shown[0].empty());
  EXPECT_EQ(shown[0], shown[1]);
  EXPECT_EQ(sweep.next_block(sequence), 0);
  EXPECT_TRUE(same(sweep.hidden(sequence), before));
}

TEST_F(SweepOnTinyLlama, WhatDoesNotFitIsRefused) {
  Sweep sweep{*model_, {.context = 3}, kInMemory};
  EXPECT_THROW(sweep.begin(std::vector<int32_t>{1, 40}), Error) << "the vocabulary has 40 tokens";
  EXPECT_THROW(sweep.begin(std::vector<int32_t>{1, 2, 3, 4}), Error);
  const size_t one = sweep.begin(std::vector<int32_t>{1}), two = sweep.begin(std::vector<int32_t>{1, 2});
  EXPECT_THROW(sweep.stand(one, 0, sweep.place(two)), Error);
  EXPECT_THROW(sweep.stand(one, 0, {}), Error);
}

TEST(RowStore, KeepsWhatFitsInMemoryAndReusesItsFile) {
  RowStore store{3 * 4 * 4};
  const auto numbered = [](float value) {
    Activations rows(1, 4);
    std::ranges::fill(rows.values(), value);
    return rows;
  };
  std::vector<std::shared_ptr<StoredRows>> kept;
  for (int i = 0; i < 5; ++i) kept.push_back(store.keep(numbered(static_cast<float>(i))));
  EXPECT_EQ(store.spilled_bytes(), 2 * 4 * 4) << "three are in memory";
  kept[4]->replace(numbered(9));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(same(kept[static_cast<size_t>(i)]->read(), numbered(static_cast<float>(i))));
  EXPECT_TRUE(same(kept[4]->read(), numbered(9)));
  kept[3].reset();
  kept.push_back(store.keep(numbered(7)));
  EXPECT_EQ(store.spilled_bytes(), 2 * 4 * 4) << "in the place of what was given back";
  EXPECT_TRUE(same(kept[5]->read(), numbered(7)));
  EXPECT_TRUE(same(kept[4]->read(), numbered(9)));
}

}  // namespace
}  // namespace snug::infer

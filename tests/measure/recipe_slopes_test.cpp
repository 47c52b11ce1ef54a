#include "measure/recipe_slopes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "eval/divergence.hpp"
#include "infer/matmul.hpp"
#include "infer/reverse/reverse_pass.hpp"
#include "infer/session.hpp"
#include "measure/encoded_block.hpp"
#include "measure/on_tiny_llama.hpp"
#include "measure/recipe_evaluator.hpp"
#include "measure/reference_run.hpp"
#include "support/arch_model_name.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

constexpr int64_t kContext = 24;

/// A random model, and the same with noise of some percent on every matrix: a recipe whose errors are known as numbers.
class RecipeSlopes : public testing::TestWithParam<tools::ArchModel> {
 protected:
  RecipeSlopes() {
    tools::write_arch_model(GetParam(), 3, scratch / "model.gguf");
    model = std::make_unique<infer::Model>(open_model(scratch / "model.gguf"));
    tokens = test::random_tokens(2 * kContext, static_cast<int32_t>(model->vocabulary()), 5);
    std::mt19937_64 random{9};
    std::normal_distribution<float> normal;
    for (const auto& [name, weight] : model->weights()) {
      std::vector<float>& values = original[name];
      for (int64_t matrix = 0; matrix < weight.matrices; ++matrix)
        for (int64_t r = 0; r < weight.rows; ++r) {
          values.resize(values.size() + static_cast<size_t>(weight.cols));
          infer::decode_row(weight, matrix, r, std::span{values}.last(static_cast<size_t>(weight.cols)));
        }
      double squares = 0;
      for (const float v : values) squares += static_cast<double>(v) * v;
      const auto size = static_cast<float>(0.04 * std::sqrt(squares / static_cast<double>(values.size())));
      for (const float v : values) noisy[name].push_back(v + size * normal(random));
    }
  }

  TextChunks text() const { return TextChunks{*model, tokens, {2, kContext, std::nullopt}}; }

  /// Mean KL(original || recipe) of the first chunk, `tensor` moved from the original to `at` times its change.
  double divergence(const std::string& tensor, double at) const {
    const TextChunks chunks = text();
    infer::Session base{*model, {.context = kContext, .batch = kContext}}, recipe{*model, {.context = kContext, .batch = kContext}};
    std::map<std::string, std::vector<float>> moved = noisy;
    for (size_t i = 0; i < moved.at(tensor).size(); ++i) {
      const double from = original.at(tensor)[i];
      moved[tensor][i] = static_cast<float>(from + at * (noisy.at(tensor)[i] - from));
    }
    for (const auto& [name, values] : moved)
      recipe.replace(name, *find_format(FormatId::f32), std::as_bytes(std::span{values}));
    const infer::Activations a = base.forward(chunks.tokens(0), chunks.first_scored()),
                             b = recipe.forward(chunks.tokens(0), chunks.first_scored());
    double sum = 0;
    for (int64_t t = 0; t < a.count(); ++t) {
      const double p = infer::log_sum_exp(a.row(t)), q = infer::log_sum_exp(b.row(t));
      for (int64_t k = 0; k < a.width(); ++k)
        sum += std::exp(a.at(t)[k] - p) * ((a.at(t)[k] - p) - (b.at(t)[k] - q));
    }
    return sum / static_cast<double>(a.count());
  }

  /// By differences over ever shorter steps, where it changes least from one to the next: long ones pass the point where
  /// a router chooses another expert, short ones drown in rounding.
  double derivative(const std::string& tensor) const {
    std::vector<double> found;
    for (double h = 0.1; h > 0.003; h /= 2)
      found.push_back((divergence(tensor, 1 + h) - divergence(tensor, 1 - h)) / (2 * h));
    size_t best = 1;
    for (size_t i = 1; i < found.size(); ++i)
      if (std::abs(found[i] - found[i - 1]) < std::abs(found[best] - found[best - 1])) best = i;
    return found[best];
  }

  std::vector<Slopes> slopes(const KnownRuns& known = {}) const {
    infer::Replacements all;
    for (const auto& [name, values] : noisy)
      all.emplace(model->find(name), infer::stand_in(*model, name, *find_format(FormatId::f32), std::as_bytes(std::span{values})));
    return recipe_slopes(
        *model, text(), std::vector<int64_t>{0, 1}, [&](int) -> const infer::Replacements& { return all; }, known);
  }

  /// GELU is rounded to f16 and back there: the divergence is a staircase.
  double allowed() const { return GetParam().arch.starts_with("gemma") ? 0.15 : 0.02; }

  test::Scratch scratch;
  std::unique_ptr<infer::Model> model;
  std::vector<int32_t> tokens;
  std::map<std::string, std::vector<float>> original, noisy;
};

TEST_P(RecipeSlopes, AreDerivativesOfTheDivergenceAlongEachChange) {
  const Slopes found = slopes().front();
  double largest = 0;
  for (const auto& [name, slope] : found) largest = std::max(largest, std::abs(slope));
  ASSERT_GT(largest, 1e-5);
  size_t checked = 0, off = 0;
  for (const auto& [name, weight] : model->weights()) {
    EXPECT_EQ(found.contains(name), infer::differentiable(*model, name)) << name;
    if (!found.contains(name) || ++checked > 24) continue;
    off += std::abs(found.at(name) - derivative(name)) > allowed() * largest;
  }
  EXPECT_LE(off, checked / 10) << "more than routers that stand between two experts explain";
  EXPECT_GT(checked, 8u);
}

TEST_P(RecipeSlopes, AreTheSameOnAnyNumberOfThreads) {
  set_threads(1);
  const std::vector<Slopes> one = slopes();
  set_threads(3);
  EXPECT_EQ(slopes(), one);
  set_threads(0);
}

TEST_P(RecipeSlopes, AreTheSameWhereTheRunsAreKnown) {
  ReferenceRun base{*model, tokens, {.chunks = 2, .context = text().context(), .bos = {}}};
  std::vector<Encoded> recipe;
  for (const auto& [name, values] : noisy) {
    const auto bytes = std::as_bytes(std::span{values});
    recipe.push_back({name, find_format(FormatId::f32), {bytes.begin(), bytes.end()}, 0});
  }
  std::vector<const Encoded*> ground;
  for (const Encoded& tensor : recipe) ground.push_back(&tensor);
  base.set_overrides(ground);
  base.prepare(2);
  KnownRuns known{.original = [&](int64_t chunk) { return base.original_last(chunk); }};
  const std::vector<Slopes> run = slopes();
  EXPECT_EQ(slopes(known), run);
  if (base.keeps_every_block()) known.recipe = [&](int64_t chunk, int block) { return base.hidden(chunk, block); };
  EXPECT_EQ(slopes(known), run);
}

std::vector<tools::ArchModel> some() {
  std::vector<tools::ArchModel> models;
  for (const tools::ArchModel& kind : tools::arch_models())
    if (std::ranges::count(std::initializer_list<std::string_view>{"llama_experts", "qwen3", "gemma4_per_layer", "gemma4_experts",
                                                                   "deepseek2_lora", "gpt_oss", "qwen3next"},
                           kind.name) > 0)
      models.push_back(kind);
  return models;
}

INSTANTIATE_TEST_SUITE_P(Architectures, RecipeSlopes, testing::ValuesIn(some()),
                         [](const auto& one) { return std::string{one.param.name}; });

/// Through the evaluator, which keeps them.
class SlopesOnTinyLlama : public test::OnTinyLlama<ProbeOptions> {
 protected:
  SlopesOnTinyLlama() {
    options.chunks = 4;
    tokens.resize(64);
  }
  Slopes slopes(const std::string& state) {
    return with_state(state, [&](const infer::Model& model, Store& store) {
      RecipeEvaluator judge{model, nullptr, Effort::normal, store, tokens, options};
      Slopes found = judge.slopes(recipe, 0, 3);
      records = store.count(RecordKind::evaluation);
      return found;
    });
  }
  const TensorFormats recipe{{"token_embd.weight", FormatId::q4_0},    {"blk.0.attn_q.weight", FormatId::q4_0},
                             {"blk.0.ffn_up.weight", FormatId::q8_0},  {"blk.1.ffn_down.weight", FormatId::q4_0},
                             {"output.weight", FormatId::q8_0}};
  int64_t records = 0;
};

TEST_F(SlopesOnTinyLlama, AreRecordsOfTheState) {
  const Slopes first = slopes("state");
  EXPECT_EQ(first.size(), recipe.size());
  EXPECT_EQ(records, 3 * std::ssize(recipe));
  EXPECT_EQ(slopes("state"), first);
  EXPECT_EQ(records, 3 * std::ssize(recipe));
}

TEST_F(SlopesOnTinyLlama, AreTheSameLayerByLayer) {
  const Slopes in_memory = slopes("in memory");
  set_memory_limit(20000);
  EXPECT_EQ(slopes("by layers"), in_memory);
  set_memory_limit(0);
}

/// Half of all slopes is the divergence where that is a quadratic form of small changes.
TEST_F(SlopesOnTinyLlama, AddUpToTwiceASmallDivergence) {
  with_state("state", [&](const infer::Model& model, Store& store) {
    RecipeEvaluator judge{model, nullptr, Effort::normal, store, tokens, options};
    const TensorFormats small{{"blk.0.attn_q.weight", FormatId::q8_0}, {"blk.1.ffn_down.weight", FormatId::q8_0}};
    double sum = 0;
    for (const auto& [name, slope] : judge.slopes(small, 0, 3)) sum += slope;
    EXPECT_NEAR(sum / (2 * mean_of(judge.divergence(small, 0, 3)).value), 1, 0.1);
    return 0;
  });
}

}  // namespace
}  // namespace snug

#include "fit/refine_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "base/files/read_file.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "artifact/quantize_model.hpp"
#include "eval/divergence.hpp"
#include "infer/session.hpp"
#include "calibrate/calibration.hpp"
#include "measure/measure.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

constexpr int64_t kContext = 64, kChunks = 12;

/// The trained model that the repository carries, on text that it wrote itself, with what a first run leaves.
class LoopOnTiny : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new Shared;
  }
  static void TearDownTestSuite() { delete shared_; }

  struct Shared {
    test::Scratch scratch;
    infer::Model model{open_model(test::tiny_model())};
    Importance importance = Importance::load(test::tiny_imatrix());
    CalibrationTokens text;
    Profile profile;
    Shared() {
      CalibrationText source;
      source.text = kSelfText;
      source.self.tokens = kContext * kChunks;
      source.self.document_tokens = kContext;
      text = calibration_tokens(source, model);
      Store store = Store::open(scratch / "state", Access::write);
      MeasureOptions options;
      options.formats = "iq1_s,iq2_xxs,q2_K,iq3_xxs,q3_K,iq4_xs,q4_K,q5_K,q6_K,q8_0";
      profile = measure(model.source(), &importance, store, options);
      apply_probes(profile, probe(model, &importance, store, text.tokens, running(text, kChunks / 2)));
    }
  };

  static ProbeOptions running(const CalibrationTokens& text, int64_t chunks) {
    ProbeOptions options;
    options.chunks = chunks;
    options.context = kContext;
    options.bos = text.bos;
    return options;
  }

  static RefinedPlan close(const Profile& profile, double bpw, const RefineOptions& loop,
                          const std::string& state) {
    PlanOptions options;
    options.budget = Budget::of_tensors(bpw);
    Store store = Store::open(shared_->scratch / state, Access::write);
    RecipeEvaluator judge{shared_->model, &shared_->importance, Effort::normal,
                      store,          shared_->text.tokens, running(shared_->text, kChunks)};
    return refine_plan(profile, shared_->model.source(), &shared_->importance, options, judge, loop);
  }

  static RefineOptions options() {
    RefineOptions loop;
    loop.tuning = 4;
    loop.holdout_first = kChunks / 2;
    return loop;
  }

  /// Losses that are wrong: alpha of tensor i times factor(i, alpha).
  static Profile misled(const std::function<double(size_t, double)>& factor) {
    Profile profile = shared_->profile;
    for (size_t i = 0; i < profile.tensors.size(); ++i) {
      ProfiledTensor& tensor = profile.tensors[i];
      tensor.alpha *= factor(i, tensor.alpha);
      for (Candidate& candidate : tensor.candidates)
        candidate.loss = pico_nats(tensor.alpha * candidate.relative_error);
    }
    return profile;
  }

  static double contrary(size_t, double alpha) { return 10 / (alpha * alpha); }  // and far off on the whole
  static double up_and_down(size_t i, double) { return i % 2 ? 4 : 0.25; }

  static Shared* shared_;
};

LoopOnTiny::Shared* LoopOnTiny::shared_;

/// Both models run from the first token to the last.
double kl_of_file(const std::filesystem::path& path, const infer::Model& original, const CalibrationTokens& text) {
  const infer::Model model{open_model(path)};
  double sum = 0;
  int64_t count = 0;
  for (int64_t c = kChunks / 2; c < kChunks; ++c) {
    std::vector<int32_t> chunk(text.tokens.begin() + c * kContext, text.tokens.begin() + (c + 1) * kContext);
    if (text.bos) chunk.front() = *text.bos;
    infer::Session a{original, {}}, b{model, {}};
    const infer::Activations p = a.forward(chunk, kContext / 8), q = b.forward(chunk, kContext / 8);
    for (int64_t r = 0; r < p.count(); ++r, ++count) {
      const infer::BaseRow base{p.row(r), infer::log_sum_exp(p.row(r)),
                                -std::numeric_limits<double>::infinity()};
      sum += static_cast<double>(infer::compare(base, q.row(r), 0).divergence);
    }
  }
  return sum / static_cast<double>(count);
}

TEST_F(LoopOnTiny, WhatIsReportedIsTheDivergenceOfTheFileWritten) {
  const RefinedPlan result = close(shared_->profile, 3, options(), "a");
  const Recipe& recipe = result.plan.recipe;
  const auto out = shared_->scratch / "out.gguf";
  quantize_model(shared_->model.source(), &shared_->importance, recipe, out, Existing::replace);
  ASSERT_TRUE(recipe.measured);
  EXPECT_NEAR(recipe.measured->kl, kl_of_file(out, shared_->model, shared_->text),
              1e-6 * recipe.measured->kl);
  EXPECT_EQ(recipe.measured->tokens, kChunks / 2 * (kContext - kContext / 8));
  EXPECT_EQ(recipe.measured->kl, result.best().measured.value);
}

/// The best recipe's tensors stay encoded, whatever was tried after it.
TEST_F(LoopOnTiny, WritesWhatItHasEncodedAlready) {
  PlanOptions options;
  options.budget = Budget::of_tensors(4.25);
  Store store = Store::open(shared_->scratch / "encoded", Access::write);
  RecipeEvaluator judge{shared_->model, &shared_->importance, Effort::normal,
                    store,          shared_->text.tokens, running(shared_->text, kChunks)};
  const ModelSource& model = shared_->model.source();
  const Recipe recipe =
      refine_plan(shared_->profile, model, &shared_->importance, options, judge, LoopOnTiny::options()).plan.recipe;
  int64_t known = 0;
  const auto blocks_of = [&](const Tensor& tensor, const Format& format) {
    const std::span<const std::byte> blocks = judge.blocks_of(tensor.name, format.id);
    known += !blocks.empty();
    return blocks;
  };
  const auto encoded = shared_->scratch / "encoded.gguf", kept = shared_->scratch / "kept.gguf";
  quantize_model(model, &shared_->importance, recipe, encoded, Existing::replace);
  quantize_model(model, &shared_->importance, recipe, kept, Existing::replace, {.known = blocks_of});
  EXPECT_EQ(known, std::ranges::count(recipe.tensors, false, &RecipeTensor::copied));
  EXPECT_EQ(read_file(kept), read_file(encoded));
}

TEST_F(LoopOnTiny, TakesOnlyWhatIsBetterBeyondItsStandardErrorAndStaysWithinTheBudget) {
  for (const double bpw : {2.1, 2.6, 3.5, 5.0}) {
    SCOPED_TRACE(bpw);
    const RefinedPlan result = close(shared_->profile, bpw, options(), "a");
    ASSERT_FALSE(result.judged.empty());
    EXPECT_TRUE(result.judged.front().accepted);
    for (size_t i = 1; i < result.judged.size(); ++i) {
      const infer::Estimate change = result.judged[i].against_best;
      EXPECT_EQ(result.judged[i].accepted, change.value < -change.error) << result.judged[i].label;
    }
    EXPECT_LE(result.plan.recipe.bits_per_weight(), bpw);
  }
}

TEST_F(LoopOnTiny, CorrectsLossesThatAreWrong) {
  RefineOptions none = options(), some = options();
  none.presets = some.presets = false;
  none.rounds = 0;
  some.rounds = 4;
  const double before = close(misled(up_and_down), 3, none, "a").best().measured.value;
  const double after = close(misled(up_and_down), 3, some, "a").best().measured.value;
  const double right = close(shared_->profile, 3, none, "a").best().measured.value;
  EXPECT_GT(before, 1.2 * right);
  EXPECT_LT(after - right, 0.5 * (before - right));
}

TEST_F(LoopOnTiny, UsesThePresetWhereThatIsBetter) {
  RefineOptions loop = options();
  loop.rounds = 0;
  const RefinedPlan result = close(misled(contrary), 3.6, loop, "a");
  EXPECT_EQ(result.judged.size(), 2u);
  EXPECT_TRUE(result.judged.back().accepted);
  EXPECT_EQ(result.plan.recipe.method, result.judged.back().label);
  EXPECT_TRUE(result.plan.recipe.method.starts_with("preset "));
  EXPECT_LE(result.plan.recipe.bits_per_weight(), 3.6);
  EXPECT_FALSE(result.plan.recipe.proven_optimal);
}

TEST_F(LoopOnTiny, IsTheSameOnAnyThreadsResumedOrNot) {
  set_threads(1);
  const RefinedPlan one = close(shared_->profile, 2.6, options(), "one");
  set_threads(4);
  const RefinedPlan four = close(shared_->profile, 2.6, options(), "four"),
                   again = close(shared_->profile, 2.6, options(), "four");
  set_threads(0);
  EXPECT_EQ(one.plan.recipe, four.plan.recipe);
  EXPECT_EQ(one.plan.recipe, again.plan.recipe);
}

TEST_F(LoopOnTiny, NeedsChunksToJudgeBy) {
  RefineOptions loop = options();
  loop.holdout_first = kChunks;
  EXPECT_THROW(close(shared_->profile, 3, loop, "a"), Error);
}

}  // namespace
}  // namespace snug

#include "plan/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "artifact/quantize_model.hpp"
#include "base/files/mapped_file.hpp"
#include "base/progress.hpp"
#include "encode/encode_tensor.hpp"
#include "measure/measure.hpp"
#include "plan/baseline_recipes.hpp"
#include "plan/predict_loss.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

/// One measurement of the tiny model in a few formats serves every test.
class PlanTiny : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new test::Scratch;
    model_ = new ModelSource{open_model(test::tiny_model())};
    importance_ = new Importance{Importance::load(test::tiny_imatrix())};
    Store store = Store::open(*scratch_ / "state", Access::write);
    MeasureOptions options;
    options.formats = "q2_K,q3_K,q4_K,q5_K,q6_K,q8_0,iq4_xs,q4_0,q2_0";
    profile_ = new Profile{measure(*model_, importance_, store, options)};
  }
  static void TearDownTestSuite() {
    delete profile_;
    delete importance_;
    delete model_;
    delete scratch_;
  }

  static Plan plan(const PlanOptions& options) { return Planner{*profile_, *model_, importance_, options}.plan(); }

  static PlanOptions size(int64_t bytes) {
    PlanOptions options;
    options.budget = Budget::of_file(bytes);
    return options;
  }
  static PlanOptions bpw(double bits) {
    PlanOptions options;
    options.budget = Budget::of_tensors(bits);
    return options;
  }

  /// Of the files that can be planned.
  static int64_t smallest_size() {
    PlanOptions options = size(int64_t{1} << 30);
    options.notes = false;
    const Problem problem = Planner{*profile_, *model_, importance_, options}.problem();
    return (int64_t{1} << 30) - problem.budget_bytes + reachable(problem).smallest;
  }

  static const RecipeTensor& tensor(const Recipe& recipe, const std::string& name) {
    return *std::ranges::find(recipe.tensors, name, &RecipeTensor::name);
  }

  static test::Scratch* scratch_;
  static ModelSource* model_;
  static Importance* importance_;
  static Profile* profile_;
};

test::Scratch* PlanTiny::scratch_;
ModelSource* PlanTiny::model_;
Importance* PlanTiny::importance_;
Profile* PlanTiny::profile_;

/// A tensor's next larger candidates that lose less must not fit into what the plan leaves unused.
void expect_no_upgrade_fits(const Plan& plan) {
  const int64_t unused = plan.problem.budget_bytes - plan.solution.bytes;
  for (size_t t = 0; t < plan.problem.tensors.size(); ++t) {
    const Choice chosen = plan.problem.tensors[t][plan.solution.pick[t]];
    for (const Choice& other : plan.problem.tensors[t])
      EXPECT_FALSE(other.loss < chosen.loss && other.bytes - chosen.bytes <= unused) << t;
  }
}

TEST_F(PlanTiny, HundredThousandRandomBudgetsAreNeverExceeded) {
  const Planner probe{*profile_, *model_, importance_, size(1 << 20)};
  std::mt19937_64 random{1};
  std::uniform_int_distribution<int64_t> any{728'000, 5'000'000};
  for (int i = 0; i < 100'000; ++i) {
    const int64_t budget = any(random);
    const Plan made = plan(size(budget));
    ASSERT_LE(made.recipe.file_bytes, budget);
    ASSERT_EQ(made.recipe.proven_optimal, made.solution.stop == SolveStatus::optimal);
    ASSERT_GE(made.recipe.certified_bound, 0.98 * made.recipe.predicted_loss);  // our own keys may cost a hundredth
  }
}

/// More bytes may pay for our own keys and lose more than fewer bytes without them: then neither is called optimal that
/// is not.
TEST_F(PlanTiny, WhatIsProvenOfABudgetHoldsForEverySmallerOne) {
  double least_proven = 1e9, least = 1e9;
  int64_t with_keys = 0, open = 0;
  const int64_t smallest = smallest_size();
  for (int64_t budget = smallest; budget < smallest + 40'000; budget += 32) {
    const Recipe recipe = plan(size(budget)).recipe;
    with_keys += recipe.notes;
    open += recipe.notes && !recipe.proven_optimal;
    EXPECT_LE(recipe.certified_bound, least) << budget;  // what fits into less fits into this
    EXPECT_TRUE(!recipe.proven_optimal || recipe.predicted_loss <= least) << budget;
    if (recipe.proven_optimal) {
      EXPECT_LE(recipe.predicted_loss, least_proven) << budget;
      least_proven = recipe.predicted_loss;
    }
    least = std::min(least, recipe.predicted_loss);
  }
  EXPECT_GT(with_keys, 0);
  EXPECT_GT(open, 0);  // without our keys the same bytes lose less
  EXPECT_LT(open, with_keys);
}

TEST_F(PlanTiny, TheCertificateIsOfThePlanThatIsWritten) {
  for (int64_t budget = 800'000; budget < 806'000; budget += 96) {
    const Plan made = plan(size(budget));
    int64_t bytes = 0, loss = 0;
    for (size_t t = 0; t < made.problem.tensors.size(); ++t) {
      bytes += made.problem.tensors[t][made.solution.pick[t]].bytes;
      loss += made.problem.tensors[t][made.solution.pick[t]].loss;
    }
    EXPECT_LE(bytes, made.problem.budget_bytes);
    EXPECT_EQ(bytes, made.solution.bytes);
    EXPECT_EQ(loss, made.solution.loss);
    EXPECT_EQ(nats(loss), made.recipe.predicted_loss);
    EXPECT_EQ(check_certificate(made.problem, made.solution.certificate), made.solution.certified_bound);
    EXPECT_EQ(nats(made.solution.certified_bound), made.recipe.certified_bound);
  }
}

TEST_F(PlanTiny, PlannedBytesAreWrittenBytesAndTheLossFalls) {
  double loss = 1e9;
  for (const double bits : {2.7, 3.0, 3.3, 3.7, 4.0, 4.3, 4.6, 5.0, 6.0, 8.0}) {
    SCOPED_TRACE(bits);
    const Plan made = plan(bpw(bits));
    EXPECT_LE(made.recipe.bits_per_weight(), bits);
    EXPECT_LT(made.recipe.predicted_loss, loss);
    loss = made.recipe.predicted_loss;
    expect_no_upgrade_fits(made);
    const std::filesystem::path out = *scratch_ / "out.gguf";
    const WrittenModel written = quantize_model(*model_, importance_, made.recipe, out, Existing::replace);
    verify_written(*model_, importance_, made.recipe, written);
    EXPECT_EQ(static_cast<int64_t>(std::filesystem::file_size(out)), made.recipe.file_bytes);
  }
}

TEST_F(PlanTiny, SplitFilesKeepTheBudgetTogether) {
  PlanOptions options = size(1'200'000);
  options.split_bytes = 400'000;
  const Plan made = plan(options);
  const WrittenModel written = quantize_model(*model_, importance_, made.recipe, *scratch_ / "split.gguf", Existing::refuse);
  int64_t bytes = 0;
  for (const auto& file : written.files) bytes += static_cast<int64_t>(std::filesystem::file_size(file));
  EXPECT_GT(written.files.size(), 2u);
  EXPECT_EQ(bytes, made.recipe.file_bytes);
  EXPECT_LE(bytes, 1'200'000);
  verify_written(*model_, importance_, made.recipe, written);
}

TEST_F(PlanTiny, AnImpossibleBudgetNamesTheReachableRange) {
  try {
    plan(size(100'000));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::unreachable_budget);
    EXPECT_NE(std::string(error.what()).find("the smallest takes"), std::string::npos) << error.what();
  }
}

/// llama-quantize's file of q8_0 has none of our keys; at its size we are not to be the worse for them.
TEST_F(PlanTiny, OurOwnKeysGiveWayWhereTheirBytesAreNeeded) {
  PlanOptions roomy = size(int64_t{1} << 30);
  const Recipe all = plan(roomy).recipe;
  EXPECT_TRUE(all.notes);
  PlanOptions without = roomy;
  without.notes = false;
  const int64_t least = plan(without).recipe.file_bytes;
  ASSERT_LT(least, all.file_bytes);

  PlanOptions exact = roomy;
  exact.budget = Budget::of_file(least);
  const Recipe tight = plan(exact).recipe;
  EXPECT_FALSE(tight.notes);
  EXPECT_EQ(tight.file_bytes, least);
  EXPECT_EQ(tight.predicted_loss, all.predicted_loss);
  EXPECT_EQ(parse_recipe(to_json(tight), "test"), tight);
  quantize_model(*model_, importance_, tight, *scratch_ / "tight.gguf", Existing::replace);
  const ModelSource file = open_model(*scratch_ / "tight.gguf");
  EXPECT_EQ(file.bytes(), least);
  EXPECT_FALSE(file.metadata().find("snug.recipe"));
  exact.budget = Budget::of_file(all.file_bytes);
  EXPECT_TRUE(plan(exact).recipe.notes);
}

TEST_F(PlanTiny, TheSmallestSizeIsReachedWithoutOurKeys) {
  PlanOptions options = size(100'000);
  options.notes = false;
  int64_t least = 100'000;
  for (int64_t step = 1 << 21; step > 0; step /= 2) {  // the least size that is not refused
    options.budget = Budget::of_file(least + step);
    try {
      plan(options);
    } catch (const Error&) {
      least += step;
    }
  }
  EXPECT_FALSE(plan(size(least + 1)).recipe.notes);
  EXPECT_THROW(plan(size(least)), Error);
}

TEST_F(PlanTiny, PinsMinimaAndMaximaHold) {
  PlanOptions options = bpw(6);
  options.rules.pins = {"token_embd=q8_0"};
  options.rules.mins = {"attn_v=q5_K"};
  options.rules.maxs = {"ffn=q4_K"};
  const Recipe recipe = plan(options).recipe;
  EXPECT_EQ(tensor(recipe, "token_embd.weight").format, FormatId::q8_0);
  for (const RecipeTensor& t : recipe.tensors) {
    if (t.copied) continue;
    const double bits = find_format(t.format)->bits_per_weight();
    if (t.name.find("attn_v") != std::string::npos) {
      EXPECT_GE(bits, 5.5) << t.name;
    }
    if (t.name.find("ffn") != std::string::npos) {
      EXPECT_LE(bits, 4.5) << t.name;
    }
  }
}

TEST_F(PlanTiny, GroupsShareAFormat) {
  PlanOptions options = bpw(4.0);
  options.rules.groups = {"blk\\.(\\d+)\\.ffn_(?:gate|up)"};
  const Recipe recipe = plan(options).recipe;
  for (const char* layer : {"blk.0.", "blk.1."})
    EXPECT_EQ(tensor(recipe, std::string(layer) + "ffn_gate.weight").format,
              tensor(recipe, std::string(layer) + "ffn_up.weight").format);
}

TEST_F(PlanTiny, RulesThatCannotHoldAreUsageErrors) {
  for (const char* pin : {"token_embd=q9", "no_such_tensor=q4_K", "(=q4_K", "token_embd", "token_embd=iq1_s"}) {
    PlanOptions options = bpw(4.5);
    options.rules.pins = {pin};
    try {
      plan(options);
      FAIL() << pin;
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::usage) << pin;
    }
  }
}

TEST_F(PlanTiny, SideConstraintsHold) {
  PlanOptions options = bpw(4.5);
  options.max_formats = 2;
  options.caps = {"ffn=300kB"};
  const Recipe recipe = plan(options).recipe;
  std::vector<FormatId> used;
  int64_t ffn = 0;
  for (const RecipeTensor& t : recipe.tensors) {
    if (t.copied) continue;
    if (std::ranges::count(used, t.format) == 0) used.push_back(t.format);
    if (t.name.find("ffn") != std::string::npos) ffn += t.bytes;
  }
  EXPECT_LE(used.size(), 2u);
  EXPECT_LE(ffn, 300'000);
}

/// What is claimed of a plan of few formats holds: it is the best of all pairs, and the bound lies below them.
TEST_F(PlanTiny, OfAllPairsOfFormatsThePlanHasTheBest) {
  PlanOptions options = bpw(4.2);
  options.max_formats = 2;
  const Plan plan = this->plan(options);
  EXPECT_EQ(plan.recipe.limits, "max formats 2");
  EXPECT_TRUE(plan.recipe.proven_optimal);
  int64_t best = std::numeric_limits<int64_t>::max();
  for (const Format& one : formats())
    for (const Format& other : formats()) {
      Problem pair{{}, plan.problem.budget_bytes};
      for (size_t t = 0; t < plan.problem.tensors.size(); ++t) {
        auto& choices = pair.tensors.emplace_back();
        for (size_t c = 0; c < plan.problem.tensors[t].size(); ++c)
          if (const FormatId id = profile_->tensors[t].candidates[c].format; id == one.id || id == other.id)
            choices.push_back(plan.problem.tensors[t][c]);
      }
      if (std::ranges::any_of(pair.tensors, [](const auto& choices) { return choices.empty(); })) continue;
      if (const Solution solution = solve(pair); !solution.pick.empty()) best = std::min(best, solution.loss);
    }
  EXPECT_EQ(plan.solution.loss, best);
  EXPECT_LE(plan.recipe.certified_bound, plan.recipe.predicted_loss);
}

TEST_F(PlanTiny, ASearchInFloatingPointProvesNothing) {
  PlanOptions options = bpw(4.2);
  options.caps = {"ffn=300kB"};
  const Plan plan = this->plan(options);
  EXPECT_EQ(plan.recipe.limits, "cap");
  EXPECT_EQ(plan.recipe.proven_optimal, plan.solution.certified_bound >= plan.solution.loss);
  EXPECT_EQ(this->plan(bpw(4.2)).recipe.limits, "");
}

TEST_F(PlanTiny, WhatNobodyMeasuredIsNotSaidToLoseNothing) {
  Recipe preset = preset_recipe(*model_, importance_, "q4_k_m");
  EXPECT_FALSE(preset.loss_known);
  EXPECT_FALSE(uniform_recipe(*model_, "q6_K").loss_known);
  EXPECT_TRUE(uniform_recipe(*model_, "f16").loss_known) << "every tensor is copied";
  quantize_model(*model_, importance_, preset, *scratch_ / "preset.gguf", Existing::replace);
  EXPECT_EQ(open_model(*scratch_ / "preset.gguf").find("snug.predicted_loss"), nullptr);
  Recipe measured = uniform_recipe(*model_, "q4_K");
  EXPECT_TRUE(predict_loss(*profile_, measured));
  EXPECT_TRUE(measured.loss_known);
  EXPECT_GT(measured.predicted_loss, 0);
}

TEST_F(PlanTiny, TheCurveAgreesWithPlansAtItsPoints) {
  PlanOptions options = size(1 << 20);
  options.notes = false;  // else a plan may leave them out for more
  const auto curve = Planner{*profile_, *model_, importance_, options}.curve(20);
  ASSERT_GT(curve.size(), 20u);
  for (size_t i = 0; i < curve.size(); i += 7) {
    options.budget = Budget::of_file(curve[i].file_bytes);
    const Plan made = plan(options);
    EXPECT_EQ(made.recipe.file_bytes, curve[i].file_bytes);
    EXPECT_EQ(made.solution.loss, curve[i].loss);
  }
}

TEST_F(PlanTiny, TheRecipeGivesTheSameBytesAgain) {
  const Plan made = plan(size(1'000'000));
  quantize_model(*model_, importance_, made.recipe, *scratch_ / "a.gguf", Existing::refuse);
  const Recipe again = parse_recipe(to_json(made.recipe), "test");
  quantize_model(*model_, importance_, again, *scratch_ / "b.gguf", Existing::refuse);
  const MappedFile a{*scratch_ / "a.gguf"}, b{*scratch_ / "b.gguf"};
  EXPECT_TRUE(std::ranges::equal(a.bytes(), b.bytes()));
}

/// Moments for the 256 inputs of some tensors: neighbours that go together.
std::vector<float> some_moments(int64_t dim) {
  std::vector<float> sums(static_cast<size_t>(dim * dim));
  for (int64_t i = 0; i < dim; ++i)
    for (int64_t j = 0; j < dim; ++j) sums[static_cast<size_t>(i * dim + j)] = 1000.0f / static_cast<float>(1 + std::abs(i - j));
  return sums;
}

TEST_F(PlanTiny, WithSecondMomentsMaxEffortWritesWhatEncodeTensorGives) {
  Recipe recipe = plan(size(1'000'000)).recipe;
  recipe.effort = Effort::max;
  const std::vector<float> sums = some_moments(256);
  Hessian moment{
      "blk.0.attn_q.weight", {"blk.0.attn_q.weight", "blk.1.attn_output.weight"}, 256, 1, {1000}, sums};
  const std::filesystem::path imatrix = *scratch_ / "moments.gguf", out = *scratch_ / "moments-out.gguf";
  write_imatrix(imatrix, {}, {&moment, 1}, Existing::replace);
  const Hessians moments{imatrix};
  const WrittenModel written = quantize_model(*model_, importance_, recipe, out, Existing::replace, {.moments = &moments});
  verify_written(*model_, importance_, recipe, written, {.moments = &moments});
  quantize_model(*model_, importance_, recipe, *scratch_ / "plain.gguf", Existing::replace);
  const ModelSource file = open_model(out), plain = open_model(*scratch_ / "plain.gguf");
  HessianFactors curvatures{moments};
  for (const Tensor& source : model_->tensors()) {
    const Tensor& got = *file.find(source.name);
    const bool fed_back = moments.find(source.name);
    EXPECT_EQ(!fed_back, std::ranges::equal(got.contiguous(), plain.find(source.name)->contiguous())) << source.name;
    if (!fed_back) continue;
    const Encoded expected = encode_tensor(source, *find_format(got.format), importance_->find(source.name),
                                           Effort::max, &curvatures);
    EXPECT_TRUE(std::ranges::equal(got.contiguous(), expected.data)) << source.name;
  }
}

}  // namespace
}  // namespace snug

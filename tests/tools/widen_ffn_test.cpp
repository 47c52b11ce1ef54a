#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "base/progress.hpp"
#include "base/str.hpp"
#include "plan/plan.hpp"
#include "artifact/quantize_model.hpp"
#include "plan/baseline_recipes.hpp"
#include "eval/divergence.hpp"
#include "infer/model.hpp"
#include "infer/session.hpp"
#include "measure/measure.hpp"
#include "recipe/presets.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

/// The tiny model, trained, with down projections 704 wide: a multiple of 64, and neither of 128 nor of 256.
class TinyWithAwkwardRows : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(widen(str(test::tiny_model().string(), " --ffn 704 -o ", model().string(), " --imatrix ",
                        test::tiny_imatrix().string(), " --imatrix-out ", imatrix().string())),
              0);
    for (int32_t i = 0; i < 64; ++i) tokens_.push_back(i == 0 ? 1 : 300 + 37 * i % 3000);
  }

  static int widen(const std::string& arguments) {
    return std::system(str(WIDEN_FFN, " ", arguments, " >/dev/null 2>&1").c_str());
  }
  std::filesystem::path model() const { return scratch_ / "wide.gguf"; }
  std::filesystem::path imatrix() const { return scratch_ / "wide.imatrix.gguf"; }

  /// Mean KL(base || model) over the tokens, in nats.
  double divergence(const std::filesystem::path& base, const std::filesystem::path& other) const {
    const infer::Model original{open_model(base)}, changed{open_model(other)};
    infer::Session a{original, {.context = 64}}, b{changed, {.context = 64}};
    const infer::Activations p = a.forward(tokens_), q = b.forward(tokens_);
    double sum = 0;
    const auto rows = static_cast<int64_t>(tokens_.size());
    for (int64_t r = 0; r < rows; ++r)
      sum += static_cast<double>(
          infer::compare({p.row(r), infer::log_sum_exp(p.row(r)), -INFINITY}, q.row(r), 0).divergence);
    return sum / static_cast<double>(rows);
  }

  test::Scratch scratch_;
  std::vector<int32_t> tokens_;
};

TEST_F(TinyWithAwkwardRows, ComputesWhatTheTinyModelDoes) {
  const ModelSource wide = open_model(model());
  EXPECT_EQ(wide.find("blk.0.ffn_down.weight")->cols(), 704);
  EXPECT_EQ(wide.find("blk.1.ffn_gate.weight")->rows(), 704);
  EXPECT_EQ(wide.metadata().integer("llama.feed_forward_length"), 704);
  EXPECT_NEAR(divergence(test::tiny_model(), model()), 0, 1e-7);
}

TEST_F(TinyWithAwkwardRows, FitReachesASizeThatNoPresetCan) {
  const ModelSource wide = open_model(model());
  Importance importance = Importance::load(imatrix());
  EXPECT_TRUE(importance.check_against(wide).without.empty());
  Store store = Store::open(scratch_ / "state", Access::write);
  MeasureOptions measuring;
  measuring.formats = "q1_0,iq1_s,iq2_xxs,iq2_s,q2_0,iq3_s,q4_0,iq4_nl,iq4_xs,q5_K";
  const Profile profile = measure(wide, &importance, store, measuring);
  PlanOptions options;
  options.budget = Budget::of_tensors(2.0);
  const Plan plan = Planner{profile, wide, &importance, options}.plan();
  EXPECT_LE(plan.recipe.bits_per_weight(), 2.0);
  for (const std::string_view name : preset_names())
    EXPECT_GT(preset_recipe(wide, &importance, std::string(name)).bits_per_weight(), 2.0) << name;
  const std::filesystem::path out = scratch_ / "out.gguf";
  const WrittenModel written = quantize_model(wide, &importance, plan.recipe, out, Existing::refuse);
  verify_written(wide, &importance, plan.recipe, written);
  EXPECT_EQ(written.bytes, plan.recipe.file_bytes);
  const double kl = divergence(model(), out);
  RecordProperty("kl_nats", str(kl));
  EXPECT_GT(kl, 0);
  EXPECT_LT(kl, 1.0);  // of a vocabulary of 4096: it still says what the original says
}

TEST_F(TinyWithAwkwardRows, RefusesToNarrow) {
  EXPECT_NE(widen(str(test::tiny_model().string(), " --ffn 64 -o ", (scratch_ / "x.gguf").string())), 0);
  EXPECT_NE(widen(str(test::tiny_imatrix().string(), " --ffn 704 -o ", (scratch_ / "x.gguf").string())), 0);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "x.gguf"));
}

}  // namespace
}  // namespace snug

// Files that snug writes, judged by the real llama.cpp.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/progress.hpp"
#include "base/str.hpp"
#include "plan/plan.hpp"
#include "artifact/quantize_model.hpp"
#include "plan/baseline_recipes.hpp"
#include "interop/real_llama.hpp"
#include "measure/measure.hpp"
#include "snug/quantize.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

class Interop : public testing::Test {
 protected:
  void SetUp() override {
    const std::filesystem::path libraries = test::RealLlama::find_libraries();
    if (libraries.empty()) {
      ASSERT_EQ(std::getenv("SNUG_REQUIRE_LLAMA"), nullptr) << "tools/fetch_llama did not bring the libraries";
      GTEST_SKIP() << "the real llama.cpp is not here: run tools/fetch_llama (x86-64 Linux)";
    }
    llama_ = std::make_unique<test::RealLlama>(libraries);
  }

  /// It loads, it writes text, and every tensor decodes there as it does here.
  void expect_runs_in_llama(const std::filesystem::path& file) {
    const auto model = llama_->load(file, 128);
    const std::vector<int32_t> prompt = model->tokenize("Once upon a time", true);
    const std::vector<int32_t> text = model->generate(prompt, 8);
    EXPECT_EQ(text.size(), prompt.size() + 8);
    for (const float logit : model->logits(prompt)) ASSERT_TRUE(std::isfinite(logit));

    const ModelSource reader = open_model(file);
    for (const Tensor& tensor : reader.tensors()) {
      std::vector<float> ours(static_cast<size_t>(tensor.weights())), theirs(ours.size());
      dequantize(*find_format(tensor.format), tensor.contiguous(), {ours.data(), tensor.rows(), tensor.cols()});
      if (!llama_->dequantize(std::string(format_name(tensor.format)), tensor.data, theirs.data(), tensor.weights()))
        continue;  // f32 and f16 have no routine of that name
      EXPECT_EQ(std::memcmp(ours.data(), theirs.data(), ours.size() * sizeof(float)), 0)
          << tensor.name << " as " << format_name(tensor.format);
    }
  }

  /// No candidate of a single tensor that loses less fits into what the plan leaves unused.
  static void expect_no_upgrade_fits(const Plan& plan) {
    const int64_t unused = plan.problem.budget_bytes - plan.solution.bytes;
    for (size_t t = 0; t < plan.problem.tensors.size(); ++t) {
      const Choice chosen = plan.problem.tensors[t][plan.solution.pick[t]];
      for (const Choice& other : plan.problem.tensors[t])
        EXPECT_FALSE(other.loss < chosen.loss && other.bytes - chosen.bytes <= unused) << t;
    }
  }

  void fit_and_check(const std::filesystem::path& model_path, const std::filesystem::path& imatrix) {
    const ModelSource model = open_model(model_path);
    const Importance importance = Importance::load(imatrix);
    Store store = Store::open(scratch_ / "state", Access::write);
    MeasureOptions measuring;
    measuring.precision = 0.1;
    const Profile profile = measure(model, &importance, store, measuring);
    double loss = std::numeric_limits<double>::infinity();
    for (const double bits : {2.3, 2.6, 2.9, 3.2, 3.6, 4.0, 4.5, 5.0, 6.0, 8.0}) {
      SCOPED_TRACE(bits);
      PlanOptions options;
      options.bpw = bits;
      const Plan plan = Planner{profile, model, &importance, options}.plan();
      EXPECT_LE(plan.recipe.bits_per_weight(), bits);
      EXPECT_LT(plan.recipe.predicted_loss, loss);
      loss = plan.recipe.predicted_loss;
      expect_no_upgrade_fits(plan);
      PlanOptions same_size;
      same_size.size_bytes = plan.recipe.file_bytes;
      EXPECT_LE((Planner{profile, model, &importance, same_size}.plan().recipe.file_bytes), plan.recipe.file_bytes);
      const std::filesystem::path out = scratch_ / "out.gguf";
      quantize_model(model, &importance, plan.recipe, out, Existing::replace);
      EXPECT_EQ(static_cast<int64_t>(std::filesystem::file_size(out)), plan.recipe.file_bytes);
      expect_runs_in_llama(out);
    }
  }

  test::Scratch scratch_;
  std::unique_ptr<test::RealLlama> llama_;
};

TEST_F(Interop, EveryFormatLoadsAndDecodesTheSame) {
  const ModelSource model = open_model(test::tiny_model());
  const Importance importance = Importance::load(test::tiny_imatrix());
  for (const Format& format : formats()) {
    SCOPED_TRACE(format.name);
    const Recipe recipe = uniform_recipe(model, std::string(format.name));
    const std::filesystem::path out = scratch_ / "uniform.gguf";
    quantize_model(model, &importance, recipe, out, Existing::replace);
    expect_runs_in_llama(out);
  }
}

TEST_F(Interop, TenBudgetsOfTheTinyModelRun) { fit_and_check(test::tiny_model(), test::tiny_imatrix()); }

TEST_F(Interop, TenBudgetsOfTheDenseModelRun) {
  const std::filesystem::path shared = test::shared_folder();
  if (shared.empty()) GTEST_SKIP() << "../shared is not here";
  fit_and_check(shared / "models/dense-f16.gguf", shared / "models/dense.imatrix.gguf");
}

TEST_F(Interop, TenBudgetsOfTheMoeModelRun) {
  const std::filesystem::path shared = test::shared_folder();
  if (shared.empty()) GTEST_SKIP() << "../shared is not here";
  fit_and_check(shared / "models/moe-f16.gguf", shared / "models/moe.imatrix.gguf");
}

/// Experts with down projections 704 wide, which K- and IQ-formats do not fit.
TEST_F(Interop, AwkwardRowsAtTwoBitsRun) {
  const std::filesystem::path shared = test::shared_folder();
  if (shared.empty()) GTEST_SKIP() << "../shared is not here";
  const std::string wide = (scratch_ / "wide.gguf").string(), imatrix = (scratch_ / "imatrix.gguf").string();
  ASSERT_EQ(std::system(str(WIDEN_FFN, " ", (shared / "models/moe-f16.gguf").string(), " --ffn 704 -o ", wide,
                            " --imatrix ", (shared / "models/moe.imatrix.gguf").string(), " --imatrix-out ",
                            imatrix, " >/dev/null")
                            .c_str()),
            0);
  const ModelSource model = open_model(wide);
  const Importance importance = Importance::load(imatrix);
  Store store = Store::open(scratch_ / "state", Access::write);
  MeasureOptions measuring;
  measuring.precision = 0.1;
  PlanOptions options;
  options.bpw = 2.0;
  const Profile profile = measure(model, &importance, store, measuring);
  const Plan plan = Planner{profile, model, &importance, options}.plan();
  EXPECT_LE(plan.recipe.bits_per_weight(), 2.0);
  quantize_model(model, &importance, plan.recipe, scratch_ / "out.gguf", Existing::replace);
  expect_runs_in_llama(scratch_ / "out.gguf");
}

TEST_F(Interop, SplitFilesLoad) {
  const ModelSource model = open_model(test::tiny_model());
  Recipe recipe = uniform_recipe(model, "q4_K");
  recipe.split_bytes = 500'000;
  const WrittenModel written = quantize_model(model, nullptr, recipe, scratch_ / "split.gguf", Existing::refuse);
  ASSERT_GT(written.files.size(), 1u);
  EXPECT_EQ(llama_->load(written.files.front(), 64)->generate({1}, 4).size(), 5u);
}

}  // namespace
}  // namespace snug

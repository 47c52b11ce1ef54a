// Our imatrix beside llama.cpp's: files that its tool made, and sums over what the real library multiplies.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <set>

#include "base/progress.hpp"
#include "plan/plan.hpp"
#include "artifact/quantize_model.hpp"
#include "plan/baseline_recipes.hpp"
#include "interop/real_llama.hpp"
#include "calibrate/calibration.hpp"
#include "calibrate/collect.hpp"
#include "calibrate/column_sums.hpp"
#include "measure/measure.hpp"
#include "model/roles.hpp"
#include "support/arch_model_name.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

/// How far the mean squares of the columns of one tensor are apart.
struct Difference {
  double worst = 0;                // relative
  int64_t columns = 0, apart = 0;  // apart: by more than a thousandth
  double tokens = 0, moved = 0;    // moved: to another expert
};

Difference difference(const ImatrixSums& ours, const ImatrixSums& theirs) {
  Difference d;
  for (int64_t mat = 0; mat < theirs.mats; ++mat) {
    const auto m = static_cast<size_t>(mat);
    d.tokens += theirs.counts[m];
    d.moved += std::abs(ours.counts[m] - theirs.counts[m]);
    for (int64_t c = 0; c < theirs.cols && theirs.counts[m] > 0; ++c) {
      const auto i = static_cast<size_t>(mat * theirs.cols + c);
      const double a = ours.in_sum2[i] / std::max(ours.counts[m], 1.0f),
                   b = theirs.in_sum2[i] / theirs.counts[m];
      const double off = b > 0 ? std::abs(a - b) / b : std::abs(a);
      d.worst = std::max(d.worst, off);
      d.apart += off > 1e-3;
      ++d.columns;
    }
  }
  return d;
}

class ImatrixBeside : public testing::Test {
 protected:
  Imatrix collect(const std::filesystem::path& model_path, const CalibrationTokens& text,
                  CollectOptions options) {
    const infer::Model model{open_model(model_path)};
    options.output = true;
    collect_imatrix(model, text, options, scratch_ / "ours.gguf", Existing::replace);
    return read_imatrix(scratch_ / "ours.gguf");
  }
  /// What a plan that nothing was probed for makes of the model with an imatrix, at several sizes.
  std::vector<std::vector<std::string>> plans(const ModelSource& model,
                                              const std::filesystem::path& imatrix) {
    Importance importance = Importance::load(imatrix);
    importance.check_against(model);
    std::filesystem::remove(scratch_ / "state");
    Store store = Store::open(scratch_ / "state", Access::write);
    MeasureOptions measuring;
    measuring.precision = 0.1;
    const Profile profile = measure(model, &importance, store, measuring);
    std::vector<std::vector<std::string>> all;
    for (const double bits : {2.5, 3.5, 4.5}) {
      PlanOptions options;
      options.budget = Budget::of_tensors(bits);
      std::vector<std::string>& formats = all.emplace_back();
      for (const RecipeTensor& tensor : Planner{profile, model, &importance, options}.plan().recipe.tensors)
        formats.push_back(tensor.name + " " + std::string(format_name(tensor.format)));
    }
    return all;
  }

  test::Scratch scratch_;
};

/// Files made by the tool of llama.cpp's fork, which keeps activations and the cache in f16.
class ToolsFile : public ImatrixBeside, public testing::WithParamInterface<std::string> {};

TEST_P(ToolsFile, AgreesAndGivesTheSameRecipes) {
  const std::filesystem::path shared = test::shared_folder();
  if (shared.empty()) GTEST_SKIP() << "../shared is not here";
  const std::string name = GetParam();
  const std::filesystem::path model = test::trained_model(name), file = test::trained_imatrix(name);
  const CalibrationTokens text =
      calibration_tokens({(shared / "text/calib.txt").string()}, infer::Model{open_model(model)});
  const Imatrix theirs = read_imatrix(file),
                ours = collect(model, text, {.chunk_tokens = theirs.chunk_tokens});
  EXPECT_EQ(ours.chunks, theirs.chunks);
  ASSERT_EQ(ours.tensors.size(), theirs.tensors.size());
  double worst = 0;
  for (const auto& [tensor, sums] : theirs.tensors) {
    ASSERT_TRUE(ours.tensors.contains(tensor)) << tensor;
    const Difference d = difference(ours.tensors.at(tensor), sums);
    if (sums.mats == 1) {
      EXPECT_EQ(d.moved, 0) << tensor;
      EXPECT_LE(d.worst, 1e-3) << tensor;
      worst = std::max(worst, d.worst);
    } else {  // a token between two experts may go to either, and brings its outliers along
      EXPECT_LE(d.moved, 3e-4 * d.tokens) << tensor;
      EXPECT_LE(d.apart, d.columns / 10) << tensor;
      std::printf("  %s: %g of %g tokens moved, %ld of %ld columns apart, at most %.2g\n", tensor.c_str(),
                  d.moved / 2, d.tokens, static_cast<long>(d.apart), static_cast<long>(d.columns), d.worst);
    }
  }
  std::printf("  largest relative difference%s %.2g\n", name == "moe" ? " outside the experts" : "", worst);
  EXPECT_EQ(plans(open_model(model), scratch_ / "ours.gguf"), plans(open_model(model), file));
}

INSTANTIATE_TEST_SUITE_P(Models, ToolsFile, testing::ValuesIn(test::trained_models()));

/// The library itself, as exact as it gets: then experts agree, too.
class LibrarysProducts : public ImatrixBeside {
 protected:
  void SetUp() override {
    const std::filesystem::path libraries = test::RealLlama::find_libraries();
    if (libraries.empty()) {
      ASSERT_EQ(std::getenv("SNUG_REQUIRE_LLAMA"), nullptr)
          << "tools/fetch_llama did not bring the libraries";
      GTEST_SKIP() << "the real llama.cpp is not here: run tools/fetch_llama (x86-64 Linux)";
    }
    llama_ = std::make_unique<test::RealLlama>(libraries);
  }
  /// The sums of ours' tensors over what llama.cpp multiplies.
  std::map<std::string, ColumnSums> theirs(const std::filesystem::path& file, const CalibrationTokens& text,
                                           const CollectOptions& options, const Imatrix& ours) {
    std::map<std::string, ColumnSums> all;
    for (const auto& [tensor, sums] : ours.tensors) all.emplace(tensor, ColumnSums{sums.cols, sums.mats});
    const auto model =
        llama_->load_watched(file, static_cast<uint32_t>(options.chunk_tokens),
                             [&](const std::string& weight, int64_t mat, std::span<const float> row) {
                               const auto at = all.find(weight);
                               if (at == all.end()) return void(others_.insert(weight));
                               ASSERT_LT(mat, at->second.mats) << weight;
                               ASSERT_EQ(static_cast<int64_t>(row.size()), at->second.cols) << weight;
                               at->second.add(weight, mat, {row.data(), 1, at->second.cols});
                             });
    for (int64_t c = 0; c < ours.chunks; ++c) {
      const auto first = text.tokens.begin() + c * options.chunk_tokens;
      std::vector<int32_t> tokens(first, first + options.chunk_tokens);
      if (text.bos) tokens.front() = *text.bos;
      model->logits(tokens);
    }
    return all;
  }

  std::unique_ptr<test::RealLlama> llama_;
  std::set<std::string> others_;  // products that ours has no sums of
};

TEST_F(LibrarysProducts, AreOursForTheTrainedMoe) {
  const std::filesystem::path shared = test::shared_folder();
  if (shared.empty()) GTEST_SKIP() << "../shared is not here";
  const ModelSource model = open_model(shared / "models/moe-f16.gguf");
  const std::filesystem::path wide = scratch_ / "f32.gguf";  // so that llama.cpp rounds no activations to f16
  quantize_model(model, nullptr, uniform_recipe(model, "f32"), wide, Existing::refuse);
  const CalibrationTokens text =
      calibration_tokens({(shared / "text/calib.txt").string()}, infer::Model{open_model(wide)});
  const CollectOptions options{.chunk_tokens = 256, .chunks = 16};
  const Imatrix ours = collect(wide, text, options);
  for (const auto& [tensor, sums] : theirs(wide, text, options, ours)) {
    const Difference d = difference(ours.tensors.at(tensor), sums.rounded());
    EXPECT_EQ(d.moved, 0) << tensor;
    EXPECT_LE(d.worst, 1e-4) << tensor;
  }
}

class ArchProducts : public LibrarysProducts, public testing::WithParamInterface<tools::ArchModel> {
 protected:
  /// Gelu is rounded to 16 bits on both sides, in up to 62 blocks.
  static double tolerance() { return GetParam().arch.starts_with("gemma") ? 3e-3 : 1e-3; }
};

TEST_P(ArchProducts, AreOurs) {
  const std::filesystem::path file = scratch_ / "model.gguf";
  tools::write_arch_model(GetParam(), 0, file);
  CalibrationTokens text{{}, {}, "counting"};
  for (int i = 0; i < 128; ++i) text.tokens.push_back((i * 37 + 11 * (i / 5)) % 64);
  const CollectOptions options{.chunk_tokens = 64};
  const Imatrix ours = collect(file, text, options);
  const std::map<std::string, ColumnSums> sums = theirs(file, text, options, ours);
  EXPECT_TRUE(others_.empty()) << *others_.begin();
  int alike = std::numeric_limits<int>::max();  // blocks, until rounding sends a token to another expert
  for (const auto& [tensor, sum] : sums) {
    const Difference d = difference(ours.tensors.at(tensor), sum.rounded());
    EXPECT_GT(d.tokens, 0) << tensor;
    EXPECT_LE(d.moved, 0.01 * d.tokens) << tensor;
    if (d.moved > 0) alike = std::min(alike, layer_of(tensor));
  }
  for (const auto& [tensor, sum] : sums)
    if (alike == std::numeric_limits<int>::max() || (layer_of(tensor) >= 0 && layer_of(tensor) < alike)) {
      EXPECT_LE(difference(ours.tensors.at(tensor), sum.rounded()).worst, tolerance()) << tensor;
    }
}

INSTANTIATE_TEST_SUITE_P(Models, ArchProducts,
                         testing::ValuesIn(tools::arch_models().begin(), tools::arch_models().end()),
                         [](const auto& model) { return std::string{model.param.name}; });

}  // namespace
}  // namespace snug

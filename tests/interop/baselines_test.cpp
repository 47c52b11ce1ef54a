// Our figures beside those of ../shared/cases/baselines.csv: llama.cpp's presets, encoded by llama-quantize
// and judged by the real llama.cpp. The real library encodes here, too; the rest is ours.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "base/files/read_file.hpp"
#include "base/parallel.hpp"
#include "eval/evaluate.hpp"
#include "imatrix/importance.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "interop/real_llama.hpp"
#include "plan/baseline_recipes.hpp"
#include "snug/quantize.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

/// A line of the file.
struct Baseline {
  std::string model, method;
  int64_t tensor_bytes = 0;
  double kl = 0, error = 0, same_top = 0;  // same_top: a fraction
};

constexpr uint32_t kContext = 256;
constexpr infer::SessionOptions kAsLlama{
    .context = kContext, .cache = FormatId::f16, .compute = infer::Compute::fast};
/// Of each kind; ggml takes minutes to encode the codebook formats.
const std::set<std::string> kMethods{"Q8_0", "Q4_K_M", "Q3_K_M", "Q2_K"};

/// One in a hundred. A token between two experts goes to either, and takes a share of the whole divergence
/// along: llama.cpp's libraries for AVX2 and for Sapphire Rapids are 2.6 % apart on the MoE's Q8_0.
double tolerance(const Baseline& baseline) {
  return baseline.model == "moe" ? std::max(0.01, 0.4 * baseline.error / baseline.kl) : 0.01;
}

std::vector<Baseline> read_baselines(const std::filesystem::path& file) {
  std::vector<Baseline> all;
  std::ifstream in{file};
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::vector<std::string> fields;
    std::istringstream parts{line};
    for (std::string field; std::getline(parts, field, ',');) fields.push_back(field);
    all.push_back({fields.at(0), fields.at(1), std::stoll(fields.at(3)), std::stod(fields.at(5)),
                   std::stod(fields.at(6)), std::stod(fields.at(7)) / 100});
  }
  return all;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

class Baselines : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    shared_ = test::shared_folder();
    const std::filesystem::path libraries = test::RealLlama::find_libraries();
    if (libraries.empty()) {
      ASSERT_EQ(std::getenv("SNUG_REQUIRE_LLAMA"), nullptr)
          << "tools/fetch_llama did not bring the libraries";
      GTEST_SKIP() << "the real llama.cpp is not here: run tools/fetch_llama (x86-64 Linux)";
    }
    llama_ = std::make_unique<test::RealLlama>(libraries);
  }

  /// The tensor as llama-quantize encodes it.
  std::vector<std::byte> encode(const Tensor& source, const Format& to,
                                const TensorImportance* importance) const {
    std::vector<float> weights(static_cast<size_t>(source.weights()));
    dequantize(*find_format(source.format), source.contiguous(), {weights.data(), source.rows(), source.cols()});
    const int64_t mats = source.shape[2], rows = source.rows() / mats,
                  bytes = rows * to.row_bytes(source.cols());
    std::vector<std::byte> blocks(static_cast<size_t>(mats * bytes));
    parallel_for(mats, [&](int64_t m) {
      llama_->quantize(static_cast<int>(to.id), weights.data() + m * rows * source.cols(),
                       blocks.data() + m * bytes, rows, source.cols(),
                       importance ? importance->columns(m).mean_square.data() : nullptr);
    });
    return blocks;
  }

  std::filesystem::path shared_;
  std::unique_ptr<test::RealLlama> llama_;
};

TEST_P(Baselines, AreOurFigures) {
  if (shared_.empty()) GTEST_SKIP() << "../shared is not here";
  const std::string name = GetParam();
  const infer::Model model{open_model(test::trained_model(name))};
  const Importance importance = Importance::load(test::trained_imatrix(name));
  const infer::Tokenizer tokenizer{model.source()};
  const infer::Chunks chunks = infer::cut_into_chunks(
      tokenizer.encode(read_file(shared_ / "text/eval.txt"), true, false), kContext, 0);
  infer::Session base{model, kAsLlama};
  int compared = 0;
  for (const Baseline& baseline : read_baselines(test::data_folder() / "presets/baselines.csv")) {
    if (baseline.model != name || !kMethods.contains(baseline.method)) continue;
    SCOPED_TRACE(baseline.method);
    const Recipe recipe = preset_recipe(model.source(), &importance, lower(baseline.method));
    EXPECT_EQ(recipe.tensor_bytes, baseline.tensor_bytes);
    infer::Session session{model, kAsLlama};
    std::vector<std::vector<std::byte>> blocks;
    for (const RecipeTensor& tensor : recipe.tensors) {
      const Tensor& source = *model.source().find(tensor.name);
      if (source.format == tensor.format) continue;
      const Format& to = *find_format(tensor.format);
      blocks.push_back(encode(source, to, importance.find(tensor.name)));
      session.replace(tensor.name, to, blocks.back());
    }
    const infer::Divergence d =
        summarise(compare_chunks(session, base, chunks, tokenizer.bos(), nullptr, [](int64_t) {}));
    const double off = d.kl.value / baseline.kl - 1;
    EXPECT_LE(std::abs(off), tolerance(baseline));
    EXPECT_NEAR(d.same_top.value, baseline.same_top, 2e-3);
    std::printf("  %s: %.6g nats, %+.2f %%\n", baseline.method.c_str(), d.kl.value, 100 * off);
    ++compared;
  }
  EXPECT_EQ(compared, static_cast<int>(kMethods.size()));
}

TEST_P(Baselines, PerplexityIsLlamas) {
  const std::filesystem::path file = test::trained_model(GetParam());
  const infer::Model model{open_model(file)};
  const infer::Tokenizer tokenizer{model.source()};
  const infer::Chunks chunks = infer::cut_into_chunks(
      tokenizer.encode(read_file(shared_.empty() ? std::filesystem::path{SNUG_SOURCE_DIR} / "README.md" : shared_ / "text/eval.txt"),
                       true, false),
      kContext, 40);
  infer::Session session{model, kAsLlama};
  const infer::Perplexity ours =
      summarise(score_chunks(session, chunks, tokenizer.bos(), nullptr, [](int64_t) {}));

  const auto llama = llama_->load(file, kContext);
  const auto width = static_cast<size_t>(model.vocabulary());
  std::vector<infer::TokenScore> scores;
  for (int64_t c = 0; c < chunks.count(); ++c) {
    std::vector<int32_t> tokens(chunks.chunk(c).begin(), chunks.chunk(c).end());
    tokens.front() = llama->bos();
    const std::vector<float> logits = llama->logits(tokens);
    for (size_t t = kContext / 2; t + 1 < kContext; ++t)
      scores.push_back(infer::score(std::span{logits}.subspan(t * width, width), tokens[t + 1]));
  }
  const infer::Perplexity theirs = infer::summarise(scores);
  EXPECT_EQ(ours.tokens, theirs.tokens);
  EXPECT_NEAR(ours.perplexity.value / theirs.perplexity.value, 1, 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Models, Baselines, testing::ValuesIn(test::trained_models()));

}  // namespace
}  // namespace snug

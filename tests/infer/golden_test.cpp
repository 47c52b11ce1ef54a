// Logits of tiny random models against those of llama.cpp (tests/data/golden_arch).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "base/parallel.hpp"
#include "infer/session.hpp"
#include "support/scratch.hpp"

namespace snug::infer {
namespace {

struct Case {
  const char* name;
  float tolerance = 1e-4f;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

std::vector<int32_t> read_tokens(const std::filesystem::path& path) {
  std::ifstream in{path};
  return {std::istream_iterator<int32_t>{in}, {}};
}

std::vector<float> read_floats(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{in}, {}};
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), values.size() * 4);
  return values;
}

float largest_difference(std::span<const float> a, std::span<const float> b) {
  float worst = 0;
  for (size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::isfinite(a[i]) ? std::abs(a[i] - b[i]) : INFINITY);
  return worst;
}

class Golden : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const auto folder = test::data_folder() / "golden_arch";
    const std::string name = GetParam().name;
    model = std::make_unique<Model>(open_model(folder / (name + ".gguf")));
    tokens = read_tokens(folder / (name + ".tokens.txt"));
    expected = read_floats(folder / (name + ".logits.f32"));
    ASSERT_EQ(expected.size(), tokens.size() * static_cast<size_t>(model->vocabulary()));
    ASSERT_EQ(tokens.size(), 16u);
  }

  std::unique_ptr<Model> model;
  std::vector<int32_t> tokens;
  std::vector<float> expected;
};

TEST_P(Golden, LogitsAgreeWithTheReference) {
  Session session{*model, {.context = 64}};
  const Activations logits = session.forward(tokens);
  const float worst = largest_difference(logits.values(), expected);
  RecordProperty("max_difference", std::to_string(worst));
  std::printf("  max difference %.2g\n", static_cast<double>(worst));
  EXPECT_LE(worst, GetParam().tolerance);
}

double relative_error(std::span<const float> a, std::span<const float> b) {
  double error = 0, size = 0;
  for (size_t k = 0; k < a.size(); ++k) {
    error += std::pow(static_cast<double>(a[k] - b[k]), 2);
    size += std::pow(static_cast<double>(b[k]), 2);
  }
  return std::sqrt(error / size);
}

/// Where two experts are nearly equal, a token may take the other one: hence not every token. What else
/// differs: sums of f32 in another order, activations rounded as the weights want it, keys and values in f16.
/// Beyond every window, in one batch and in several.
TEST_P(Golden, FastIsNearExactBeyondTheWindow) {
  std::vector<int32_t> many;
  for (int k = 0; k < 70; ++k) many.push_back(tokens[static_cast<size_t>(k * 7 % 16)]);
  const Activations exact = Session{*model, {.context = 70}}.forward(many);
  for (const int64_t batch : {70, 33, 1}) {
    SCOPED_TRACE(batch);
    Session session{*model,
                    {.context = 70, .batch = batch, .cache = FormatId::f16, .compute = Compute::fast}};
    const Activations fast = session.forward(many);
    std::vector<double> errors;  // by token
    for (int64_t t = 0; t < exact.count(); ++t) errors.push_back(relative_error(fast.row(t), exact.row(t)));
    std::ranges::sort(errors);
    EXPECT_LE(errors[errors.size() / 2], 0.01);
    EXPECT_LE(errors[errors.size() * 9 / 10], 0.02) << "largest " << errors.back();
  }
}

TEST_P(Golden, BatchesAndThreadsDoNotChangeABit) {
  const Activations whole = Session{*model, {.context = 64}}.forward(tokens);
  for (const int64_t batch : {1, 3, 5}) {
    SCOPED_TRACE(batch);
    set_threads(batch == 3 ? 1 : 0);
    Session session{*model, {.context = 64, .batch = batch}};
    const Activations logits = session.forward(tokens);
    EXPECT_TRUE(std::ranges::equal(logits.values(), whole.values()));
  }
  set_threads(0);
}

/// Each at its own position; one of them leaves early.
TEST_P(Golden, SequencesSideBySideGiveTheSameBitsAsAlone) {
  const Activations whole = Session{*model, {.context = 64}}.forward(tokens);
  std::vector<Session> sessions;
  std::vector<size_t> at = {0, 3, 8};
  for (const size_t before : at) {
    sessions.emplace_back(*model, SessionOptions{.context = 64});
    sessions.back().forward(std::span{tokens}.first(before));
  }
  std::vector<Session*> open;
  for (Session& session : sessions) open.push_back(&session);
  for (int step = 0; step < 8; ++step) {
    SCOPED_TRACE(step);
    if (step == 5) open.erase(open.begin() + 1);
    std::vector<int32_t> next;
    for (const Session* session : open) next.push_back(tokens[static_cast<size_t>(session->position())]);
    const Activations logits = Session::forward_each(open, next);
    ASSERT_EQ(logits.count(), static_cast<int64_t>(open.size()));
    for (size_t i = 0; i < open.size(); ++i)
      EXPECT_TRUE(
          std::ranges::equal(logits.row(static_cast<int64_t>(i)), whole.row(open[i]->position() - 1)));
  }
}

TEST_P(Golden, ResumingFromABoundaryGivesTheSameLogits) {
  Session session{*model, {.context = 64}};
  std::vector<Activations> boundaries(static_cast<size_t>(model->layers()) + 1);
  session.hooks.on_boundary = [&](int layer, int64_t, Matrix<const float> hidden) {
    Activations& rows = boundaries[static_cast<size_t>(layer)] = Activations(hidden.rows, hidden.cols);
    std::copy_n(hidden.data, hidden.rows * hidden.cols, rows.at(0));
  };
  const Activations whole = session.forward(tokens);
  session.hooks = {};
  for (int layer = 0; layer <= model->layers(); ++layer) {
    SCOPED_TRACE(layer);
    const int from = layer < model->layers() ? model->architecture().restart(layer) : layer;
    ASSERT_LE(from, layer);
    session.reset();
    if (layer == model->layers() && model->architecture().restart(layer - 1) != layer - 1) continue;
    const Activations logits = session.resume(from, tokens, boundaries[static_cast<size_t>(from)].view(), 10);
    EXPECT_TRUE(
        std::ranges::equal(logits.values(), whole.values().subspan(10 * static_cast<size_t>(whole.width()))));
  }
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

constexpr Case kCases[] = {
    {"llama3_freqs_tied_bias"},
    {"llama_linear"},
    {"llama_yarn"},
    {"mixtral"},
    {"qwen2"},
    {"qwen3"},
    {"qwen3moe"},
    {"qwen3next"},
    {"qwen35"},
    {"qwen35moe"},
    {"phi3_short"},
    {"gptoss"},
    {"glm4moe"},
    {"deepseek_v3_mla"},
    {"gemma2"},
    {"gemma4_moe"},
    {"gemma4_ple_sharedkv", 3.5e-4f},
};
INSTANTIATE_TEST_SUITE_P(Models, Golden, testing::ValuesIn(kCases), name_of);

}  // namespace
}  // namespace snug::infer

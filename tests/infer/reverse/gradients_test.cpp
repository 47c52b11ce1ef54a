// Gradients of random small models of every architecture against finite differences of the exact forward pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <random>

#include "base/parallel.hpp"
#include "infer/reverse/reverse_pass.hpp"
#include "infer/session.hpp"
#include "support/arch_model_name.hpp"
#include "support/scratch.hpp"
#include "tools/arch_models/arch_models.hpp"

namespace snug::infer {
namespace {

constexpr int64_t kTokens = 24, kFirst = 3, kDraws = 2;

double log_sum(std::span<const float> logits) {
  double most = -INFINITY, sum = 0;
  for (const float v : logits) most = std::max(most, static_cast<double>(v));
  for (const float v : logits) sum += std::exp(v - most);
  return most + std::log(sum);
}

/// One model, a text and the labels of two draws.
class Gradients : public testing::TestWithParam<tools::ArchModel> {
 protected:
  void load(uint64_t seed) {
    tools::write_arch_model(GetParam(), seed, scratch / "model.gguf");
    model = std::make_unique<Model>(open_model(scratch / "model.gguf"));
    random.seed(seed + 1);
    tokens.clear();
    labels.clear();
    for (int64_t t = 0; t < kTokens; ++t) tokens.push_back(draw());
    for (int64_t i = 0; i < kDraws * kTokens; ++i) labels.push_back(draw());
  }
  int32_t draw() { return static_cast<int32_t>(random() % static_cast<uint64_t>(model->vocabulary())); }
  int32_t label(int64_t draw, int64_t t) const { return labels[static_cast<size_t>(draw * kTokens + t)]; }

  /// Sum of the labels' log-likelihoods, with `values` in place of the tensor.
  double likelihood(int64_t draw, const Weight* weight, std::span<const float> values) const {
    Session session{*model, {.context = kTokens, .batch = kTokens}};
    if (weight) session.replace(weight->name, *find_format(FormatId::f32), std::as_bytes(values));
    const Activations logits = session.forward(tokens, kFirst);
    double sum = 0;
    for (int64_t r = 0; r < logits.count(); ++r)
      sum += static_cast<double>(logits.at(r)[label(draw, r + kFirst)]) - log_sum(logits.row(r));
    return sum;
  }

  Activations logit_gradients(int64_t first, const Activations& logits) const {
    Activations g(kDraws * logits.count(), logits.width());
    for (int64_t i = 0; i < g.count(); ++i) {
      const int64_t t = i % logits.count();
      const double sum = log_sum(logits.row(t));
      for (int64_t k = 0; k < g.width(); ++k) g.at(i)[k] = static_cast<float>(-std::exp(logits.at(t)[k] - sum));
      g.at(i)[label(i / logits.count(), first + t)] += 1;
    }
    return g;
  }

  /// Of each weight and draw, all matrices after each other.
  using All = std::map<std::string, std::vector<double>>;
  static void add_product(std::vector<double>& to, const Weight& w, int64_t matrix, const Activations& x,
                          const Activations& g) {
    const int64_t size = w.matrices * w.rows * w.cols;
    to.resize(static_cast<size_t>(kDraws * size));
    for (int64_t i = 0; i < g.count(); ++i)
      for (int64_t r = 0; r < w.rows; ++r) {
        double* row = to.data() + i / x.count() * size + (matrix * w.rows + r) * w.cols;
        for (int64_t k = 0; k < w.cols; ++k) row[k] += static_cast<double>(g.at(i)[r]) * x.at(i % x.count())[k];
      }
  }
  void add_look_up(std::vector<double>& to, const Weight& w, const Activations& g) const {
    to.resize(static_cast<size_t>(kDraws * w.rows * w.cols));
    for (int64_t i = 0; i < g.count(); ++i) {
      const int64_t row = i / kTokens * w.rows + tokens[static_cast<size_t>(i % kTokens)];
      for (int64_t k = 0; k < w.cols; ++k) to[static_cast<size_t>(row * w.cols + k)] += g.at(i)[k];
    }
  }

  All gradients() const {
    std::map<int, Activations> hidden;
    Session session{*model, {.context = kTokens, .batch = kTokens}};
    session.hooks.on_boundary = [&](int layer, int64_t, Matrix<const float> rows) {
      Activations copy(rows.rows, rows.cols);
      std::copy_n(rows.data, rows.rows * rows.cols, copy.at(0));
      hidden.emplace(layer, std::move(copy));
    };
    session.forward(tokens, kTokens);
    All all;
    ReverseHooks hooks;
    hooks.on_linear = [&](const Weight& w, int64_t matrix, const Activations& x, const Activations& g) {
      add_product(all[w.name], w, matrix, x, g);
    };
    hooks.on_look_up = [&](const Weight& w, const Activations& g) { add_look_up(all[w.name], w, g); };
    ReversePass pass{*model, tokens, kDraws, hooks,
                     [&](int layer) -> const Activations& { return hidden.at(layer); }};
    pass.head(hidden.at(model->layers()), kFirst,
              [&](int64_t first, const Activations& logits) { return logit_gradients(first, logits); });
    for (int l = model->layers() - 1; l >= lowest_differentiable(*model); --l) pass.layer(l, hidden.at(l));
    if (lowest_differentiable(*model) == 0) pass.embed();
    return all;
  }

  /// The change of the likelihood along the gradient's own values where `mask` is set, over its length there:
  /// that length, if the gradient is right.
  void check(const Weight& weight, int64_t draw, std::span<const double> gradient) {
    std::vector<float> values(gradient.size());
    std::memcpy(values.data(), weight.data.data(), values.size() * sizeof(float));
    std::vector<double> along(gradient.begin(), gradient.end());
    double length = 0, size = 0;
    for (size_t i = 0; i < along.size(); ++i) {
      if (random() % 2) along[i] = 0;
      length += along[i] * along[i];
      if (along[i] != 0) size += static_cast<double>(values[i]) * values[i];
    }
    length = std::sqrt(length);
    if (length == 0) return expect_no_influence(weight, draw, values, gradient);
    const auto slope = [&](double h) {
      const auto at = [&](double by) {
        std::vector<float> moved = values;
        for (size_t i = 0; i < moved.size(); ++i)
          moved[i] = static_cast<float>(values[i] + by * along[i] / length);
        return likelihood(draw, &weight, moved);
      };
      return (at(h) - at(-h)) / (2 * h);
    };
    const Slope found = steady_slope(slope, std::min(0.2 / length, 0.05 * std::sqrt(size)));
    ratios.push_back(found.value / length);
    if (rounded() ? std::abs(ratios.back() - 1) > 0.1 : found.doubt > 0.01 * length)
      ++doubtful;
    else
      EXPECT_NEAR(ratios.back(), 1, rounded() ? 0.1 : 0.015) << weight.name << ", draw " << draw;
  }
  /// The router of a single expert whose weight is always made 1: scaling it changes nothing.
  void expect_no_influence(const Weight& weight, int64_t draw, const std::vector<float>& values,
                           std::span<const double> gradient) {
    if (std::ranges::any_of(gradient, [](double g) { return g != 0; })) return;  // the mask left nothing
    std::vector<float> larger = values;
    for (float& v : larger) v *= 2;
    EXPECT_EQ(likelihood(draw, &weight, larger), likelihood(draw, &weight, values)) << weight.name;
  }

  /// GELU is rounded to f16 and back: the forward pass is a staircase, and a single slope tells little.
  bool rounded() const { return GetParam().arch.starts_with("gemma"); }

  /// A derivative from differences over steps h, h/2, h/4, ..., without the term in h^2: where it changes least
  /// from one step to the next. Long steps pass the point where a router chooses another expert, short ones drown
  /// in rounding.
  struct Slope {
    double value = 0, doubt = INFINITY;
  };
  static Slope steady_slope(const std::function<double(double)>& slope, double h) {
    std::vector<double> refined;
    double wide = slope(h);
    for (int i = 0; i < 6; ++i) {
      const double narrow = slope(h /= 2);
      refined.push_back((4 * narrow - wide) / 3);
      wide = narrow;
    }
    Slope best;
    for (size_t i = 1; i < refined.size(); ++i)
      if (const double doubt = std::abs(refined[i] - refined[i - 1]); doubt < best.doubt)
        best = {(refined[i] + refined[i - 1]) / 2, doubt};
    return best;
  }

  test::Scratch scratch;
  std::unique_ptr<Model> model;
  std::mt19937_64 random;
  std::vector<int32_t> tokens, labels;
  std::vector<double> ratios;  // of slopes to what they should be
  size_t doubtful = 0;
};

TEST_P(Gradients, AreThoseOfTheForwardPass) {
  for (uint64_t seed = 0; seed < 2; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    load(seed);
    ASSERT_EQ(lowest_differentiable(*model), 0) << "some blocks have no way back";
    if (model->layers() > 10 && seed > 0) continue;
    const All all = gradients();
    int at = 0;
    for (const auto& [name, weight] : model->weights()) {
      const bool reached = all.contains(name);
      EXPECT_EQ(reached, differentiable(*model, name)) << name;
      if (!reached || (model->layers() > 10 && ++at % 29 != 0)) continue;
      const std::span<const double> both = all.at(name);
      const size_t size = both.size() / kDraws;
      for (size_t draw = 0; draw < kDraws; ++draw)
        check(weight, static_cast<int64_t>(draw), both.subspan(draw * size, size));
    }
  }
  ASSERT_GE(ratios.size(), 8u);
  EXPECT_LE(doubtful, ratios.size() / (rounded() ? 3 : 10));
  const auto middle = ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2);
  std::ranges::nth_element(ratios, middle);
  EXPECT_NEAR(*middle, 1, 0.015);
}

TEST_P(Gradients, AreTheSameOnAnyNumberOfThreads) {
  load(0);
  set_threads(1);
  const All one = gradients();
  set_threads(3);
  EXPECT_EQ(gradients(), one);
  set_threads(0);
}

INSTANTIATE_TEST_SUITE_P(Architectures, Gradients, testing::ValuesIn(tools::arch_models().begin(), tools::arch_models().end()),
                         [](const auto& one) { return std::string{one.param.name}; });

}  // namespace
}  // namespace snug::infer

// Each step of the reverse pass against finite differences of its forward step written out in double.
#include "infer/reverse/ops.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "infer/layers/experts.hpp"
#include "infer/reverse/chunk_attention.hpp"

namespace snug::infer {
namespace {

using Values = std::vector<double>;

constexpr int64_t kDraws = 2;

Activations normal_rows(std::mt19937_64& random, int64_t count, int64_t width, float size = 1) {
  std::normal_distribution<float> normal;
  Activations rows(count, width);
  for (float& v : rows.values()) v = size * normal(random);
  return rows;
}

Values values_of(const Activations& rows) {
  return {rows.values().begin(), rows.values().end()};
}

/// `by` [draws * x] is what the reverse step makes of the gradients g [draws * y] at x; `forward` computes y from x.
void expect_gradient(const Activations& x, const Activations& g, const Activations& by,
                     const std::function<Values(const Values&)>& forward) {
  const Values at = values_of(x);
  ASSERT_EQ(by.values().size(), kDraws * at.size());
  for (size_t i = 0; i < at.size(); ++i) {
    constexpr double h = 1e-5;
    Values up = at, down = at;
    up[i] += h;
    down[i] -= h;
    const Values more = forward(up), less = forward(down);
    ASSERT_EQ(g.values().size(), kDraws * more.size());
    for (size_t draw = 0; draw < kDraws; ++draw) {
      double wanted = 0;
      for (size_t k = 0; k < more.size(); ++k)
        wanted += g.values()[draw * more.size() + k] * (more[k] - less[k]) / (2 * h);
      const double got = by.values()[draw * at.size() + i];
      ASSERT_NEAR(got, wanted, 2e-5 * (1 + std::abs(wanted))) << "element " << i << ", draw " << draw;
    }
  }
}

TEST(ReverseOps, NormOfRowsAndOfHeads) {
  for (const auto& [width, group] : {std::pair<int64_t, int64_t>{12, 12}, {12, 4}, {5, 5}})
    for (const bool weighted : {true, false}) {
      SCOPED_TRACE(testing::Message() << width << "/" << group << " weighted " << weighted);
      std::mt19937_64 random{static_cast<uint64_t>(width + group)};
      const Activations x = normal_rows(random, 3, width), g = normal_rows(random, 3 * kDraws, width);
      const Activations weight = normal_rows(random, 1, weighted ? group : 0);
      expect_gradient(x, g, reverse_rms_norm_groups(x, group, weight.values(), 0.01f, g), [&](const Values& at) {
        Values y(at.size());
        for (size_t from = 0; from < at.size(); from += static_cast<size_t>(group)) {
          double sum = 0;
          for (size_t i = 0; i < static_cast<size_t>(group); ++i) sum += at[from + i] * at[from + i];
          const double by = 1 / std::sqrt(sum / static_cast<double>(group) + static_cast<double>(0.01f));
          for (size_t i = 0; i < static_cast<size_t>(group); ++i)
            y[from + i] = at[from + i] * by * (weighted ? weight.values()[i] : 1.0);
        }
        return y;
      });
    }
}

double activate(Activation activation, double gate, double up) {
  if (activation == Activation::silu) return gate / (1 + std::exp(-gate)) * up;
  if (activation == Activation::gelu)
    return 0.5 * gate * (1 + std::tanh(0.79788456080286536 * gate * (1 + 0.044715 * gate * gate))) * up;
  const double a = std::min(gate, 7.0), u = std::min(7.0, std::max(-7.0, up));
  return a / (1 + std::exp(-static_cast<double>(1.702f) * a)) * (u + 1);
}

TEST(ReverseOps, GatesOfEveryActivation) {
  for (const Activation activation : {Activation::silu, Activation::gelu, Activation::oai}) {
    SCOPED_TRACE(static_cast<int>(activation));
    std::mt19937_64 random{5};
    const Activations gate = normal_rows(random, 2, 40, 3), up = normal_rows(random, 2, 40, 3);
    const Activations g = normal_rows(random, 2 * kDraws, 40);
    const GateGradients by = reverse_gate(activation, gate, up, g);
    const auto apply_to = [&](const Values& a, const Values& u) {
      Values y;
      for (size_t i = 0; i < a.size(); ++i) y.push_back(activate(activation, a[i], u[i]));
      return y;
    };
    expect_gradient(gate, g, by.gate, [&](const Values& at) { return apply_to(at, values_of(up)); });
    if (activation != Activation::gelu)  // whose value is rounded to f16, as the forward pass has it
      expect_gradient(up, g, by.up, [&](const Values& at) { return apply_to(values_of(gate), at); });
  }
}

TEST(ReverseOps, SoftCap) {
  std::mt19937_64 random{6};
  const Activations x = normal_rows(random, 3, 20, 4);
  Activations g = normal_rows(random, 3 * kDraws, 20), by = g, y = x;
  soft_cap(y, 3);
  reverse_soft_cap(y, 3, by);
  expect_gradient(x, g, by, [](const Values& at) {
    Values to;
    for (const double v : at) to.push_back(3 * std::tanh(v / 3));
    return to;
  });
}

TEST(ReverseOps, RotationsOfBothKindsInPartOfAHead) {
  for (const RopeKind kind : {RopeKind::norm, RopeKind::neox}) {
    SCOPED_TRACE(static_cast<int>(kind));
    std::mt19937_64 random{7};
    Rope rope;
    rope.kind = kind;
    rope.dims = 6;
    rope.magnitude = 1.25f;
    const std::vector<int64_t> positions{3, 4, 5};
    const RopeTable table = rope_table(rope, positions, 256);
    const Activations x = normal_rows(random, 3, 20), g = normal_rows(random, 3 * kDraws, 20);
    Activations by = g;
    reverse_rotate(rope, table, by, 2, 10, 2);
    const size_t pairs = 3, step = kind == RopeKind::norm ? 2 : 1, apart = kind == RopeKind::norm ? 1 : pairs;
    expect_gradient(x, g, by, [&](Values at) {
      for (size_t t = 0; t < 3; ++t)
        for (size_t h = 0; h < 2; ++h)
          for (size_t i = 0; i < pairs; ++i) {
            double &a = at[t * 20 + h * 10 + 2 + i * step], &b = at[t * 20 + h * 10 + 2 + i * step + apart];
            const double c = table.cos[t * pairs + i], s = table.sin[t * pairs + i], old = a;
            a = old * c - b * s;
            b = old * s + b * c;
          }
      return at;
    });
  }
}

/// What attend() does, in double: q, k, v one after the other.
Values attend_in_double(const AttendArgs& args, int64_t tokens, const Values& q, const Values& k, const Values& v) {
  const int64_t kd = args.key_dim, vd = args.value_dim;
  Values out(static_cast<size_t>(tokens * args.heads * vd));
  for (int64_t h = 0; h < args.heads; ++h)
    for (int64_t t = 0; t < tokens; ++t) {
      const int64_t kv = h / (args.heads / args.kv_heads);
      const int64_t first = args.window > 0 ? std::max<int64_t>(0, t - args.window + 1) : 0;
      Values p;
      double sum = args.sinks.empty() ? 0 : std::exp(static_cast<double>(args.sinks[static_cast<size_t>(h)]));
      for (int64_t key = first; key <= t; ++key) {
        double s = 0;
        for (int64_t d = 0; d < kd; ++d)
          s += q[static_cast<size_t>((t * args.heads + h) * kd + d)] *
               k[static_cast<size_t>((key * args.kv_heads + kv) * kd + d)];
        s *= static_cast<double>(args.scale);
        if (args.soft_cap > 0) s = args.soft_cap * std::tanh(s / args.soft_cap);
        p.push_back(std::exp(s));
        sum += p.back();
      }
      for (int64_t key = first; key <= t; ++key)
        for (int64_t d = 0; d < vd; ++d)
          out[static_cast<size_t>((t * args.heads + h) * vd + d)] +=
              p[static_cast<size_t>(key - first)] / sum * v[static_cast<size_t>((key * args.kv_heads + kv) * vd + d)];
    }
  return out;
}

TEST(ReverseOps, AttentionWithWindowsCapsSinksAndSharedKeys) {
  for (int variant = 0; variant < 8; ++variant) {
    SCOPED_TRACE(variant);
    std::mt19937_64 random{static_cast<uint64_t>(variant)};
    AttendArgs args{.heads = 4, .kv_heads = variant % 2 ? 2 : 4, .key_dim = 3, .value_dim = 5, .scale = 0.7f};
    const std::vector<float> sinks{0.5f, -1, 2, 0};
    if (variant & 2) args.window = 3;
    if (variant & 4) args.soft_cap = 1.5f;
    if (variant >= 6) args.sinks = sinks;
    constexpr int64_t tokens = 6;
    const Activations q = normal_rows(random, tokens, 12), k = normal_rows(random, tokens, args.kv_heads * 3),
                      v = normal_rows(random, tokens, args.kv_heads * 5),
                      g = normal_rows(random, tokens * kDraws, 20);
    const ChunkAttention attention{args, q, k, v};
    const auto by = attention.reverse(g);
    const Values at_q = values_of(q), at_k = values_of(k), at_v = values_of(v);
    const Values out = attend_in_double(args, tokens, at_q, at_k, at_v);
    for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(attention.output().values()[i], out[i], 1e-5);
    expect_gradient(q, g, by.q, [&](const Values& at) { return attend_in_double(args, tokens, at, at_k, at_v); });
    expect_gradient(k, g, by.k, [&](const Values& at) { return attend_in_double(args, tokens, at_q, at, at_v); });
    expect_gradient(v, g, by.v, [&](const Values& at) { return attend_in_double(args, tokens, at_q, at_k, at); });
  }
}

/// The weights of these choices, in double.
Values route_in_double(const Routing& routing, const Values& logits, std::span<const Choice> choices) {
  Values all = logits, w;
  if (routing.gating == Routing::Gating::softmax || routing.gating == Routing::Gating::softmax_of_chosen)
    for (double& v : all) v = std::exp(v);
  if (routing.gating == Routing::Gating::sigmoid)
    for (double& v : all) v = 1 / (1 + std::exp(-v));
  if (routing.gating == Routing::Gating::root_of_softplus)
    for (double& v : all) v = std::sqrt(std::log(1 + std::exp(v)));
  double sum = 0, chosen = 0;
  for (const double v : all) sum += v;
  for (const Choice& c : choices) w.push_back(all[static_cast<size_t>(c.expert)]);
  for (const double v : w) chosen += v;
  for (double& v : w) {
    if (routing.gating == Routing::Gating::softmax) v /= sum;
    if (routing.gating == Routing::Gating::softmax_of_chosen) v /= chosen;
  }
  chosen = 0;
  for (const double v : w) chosen += v;
  for (double& v : w) v *= (routing.normalise ? 1 / chosen : 1.0) * (routing.scale ? routing.scale : 1.0);
  return w;
}

TEST(ReverseOps, RoutingOfEveryKind) {
  for (const int gating : {1, 2, 3, 4})
    for (const bool normalise : {false, true})
      for (const float scale : {0.0f, 2.5f}) {
        SCOPED_TRACE(testing::Message() << "gating " << gating << " normalise " << normalise);
        std::mt19937_64 random{static_cast<uint64_t>(gating)};
        const Routing routing{.gating = static_cast<Routing::Gating>(gating), .experts = 6, .used = 3,
                              .normalise = normalise, .scale = scale};
        const Activations logits = normal_rows(random, 1, 6), g = normal_rows(random, kDraws, 3);
        const std::vector<Choice> choices = route(routing, logits.row(0));
        Activations by(kDraws, 6);
        for (int64_t draw = 0; draw < kDraws; ++draw)
          std::ranges::copy(reverse_route(routing, logits.row(0), choices, g.row(draw)), by.at(draw));
        const Values weights = route_in_double(routing, values_of(logits), choices);
        for (size_t i = 0; i < 3; ++i) ASSERT_NEAR(choices[i].weight, weights[i], 1e-5);
        expect_gradient(logits, g, by,
                        [&](const Values& at) { return route_in_double(routing, at, choices); });
      }
}

}  // namespace
}  // namespace snug::infer

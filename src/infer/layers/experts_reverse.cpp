#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "infer/layers/experts.hpp"
#include "infer/reverse/columns.hpp"
#include "infer/reverse/ops.hpp"

namespace snug::infer {
namespace {

/// By the values of a softmax's input, from g by its results p, in place of g.
void reverse_softmax(std::span<const float> p, std::span<float> g) {
  double along = 0;
  for (size_t i = 0; i < p.size(); ++i) along += static_cast<double>(p[i]) * g[i];
  for (size_t i = 0; i < p.size(); ++i) g[i] = static_cast<float>(p[i] * (g[i] - along));
}

/// What each choice counted before its weight was normalised and scaled.
std::vector<float> raw_weights(const Routing& routing, std::span<const float> logits,
                               std::span<const Choice> choices) {
  std::vector<float> all(logits.begin(), logits.end()), chosen;
  if (routing.gating == Routing::Gating::softmax) softmax(all);
  for (const Choice& choice : choices) {
    const float at = all[static_cast<size_t>(choice.expert)];
    if (routing.gating == Routing::Gating::sigmoid)
      chosen.push_back(sigmoid(at));
    else if (routing.gating == Routing::Gating::root_of_softplus)
      chosen.push_back(std::sqrt(softplus(at)));
    else
      chosen.push_back(at);
  }
  if (routing.gating == Routing::Gating::softmax_of_chosen) softmax(chosen);
  return chosen;
}

/// By the raw weights, from g by the settled ones, in place of g.
void reverse_settling(const Routing& routing, std::span<const float> raw, std::span<float> g) {
  if (routing.scale != 0 && routing.scale != 1)
    for (float& v : g) v *= routing.scale;
  if (!routing.normalise) return;
  const float sum = std::max(std::accumulate(raw.begin(), raw.end(), 0.0f), kSmallestSumOfWeights);
  double along = 0;
  for (size_t i = 0; i < raw.size(); ++i) along += static_cast<double>(g[i]) * raw[i] / sum;
  if (sum == kSmallestSumOfWeights) along = 0;  // the divisor did not depend on them
  for (float& v : g) v = static_cast<float>((v - along) / sum);
}

}  // namespace

std::vector<float> reverse_route(const Routing& routing, std::span<const float> logits,
                                 std::span<const Choice> choices, std::span<const float> g) {
  const std::vector<float> raw = raw_weights(routing, logits, choices);
  std::vector<float> by(g.begin(), g.end()), out(logits.size());
  reverse_settling(routing, raw, by);
  if (routing.gating == Routing::Gating::softmax_of_chosen) reverse_softmax(raw, by);
  for (size_t i = 0; i < choices.size(); ++i) {
    const auto e = static_cast<size_t>(choices[i].expert);
    if (routing.gating == Routing::Gating::sigmoid) by[i] *= raw[i] * (1 - raw[i]);
    if (routing.gating == Routing::Gating::root_of_softplus) by[i] *= sigmoid(logits[e]) / (2 * raw[i]);
    out[e] = by[i];
  }
  if (routing.gating == Routing::Gating::softmax) {
    std::vector<float> p(logits.begin(), logits.end());
    softmax(p);
    reverse_softmax(p, out);
  }
  return out;
}

/// The tokens that one expert was chosen for, and the way back through it.
class Experts::Way {
 public:
  Way(const Experts& experts, const Reverse& reverse, int64_t expert, const Activations& x, const Activations& g)
      : experts_{experts}, reverse_{reverse}, expert_{expert}, x_{x}, g_{g} {}

  void add_token(int64_t token, int64_t rank, float weight) { slots_.push_back({token, rank, weight}); }

  /// Adds to the gradients by x [draws * tokens] and by the weights [draws * tokens, used].
  void run(Activations& by_x, Activations& by_weights) const {
    if (slots_.empty()) return;
    const Activations in = gather(x_, 1);
    Activations g = gather(g_, draws());
    const auto [gated, raised] = experts_.project(reverse_.step, expert_, in);
    Activations product = gated;
    gate_with(experts_.activation_, product, raised);
    weigh(apply(reverse_.step, experts_.down_, product, expert_), g, by_weights);
    const GateGradients by =
        reverse_gate(experts_.activation_, gated, raised,
                     reverse_linear(reverse_, experts_.down_, product, g, expert_));
    scatter(back_to_input(in, by), by_x);
  }

 private:
  struct Slot {
    int64_t token, rank;
    float weight;
  };

  int64_t draws() const { return reverse_.draws; }
  int64_t count() const { return static_cast<int64_t>(slots_.size()); }
  const Slot& slot(int64_t i) const { return slots_[static_cast<size_t>(i)]; }

  /// My tokens' rows of each draw.
  Activations gather(const Activations& from, int64_t draws) const {
    Activations rows = Activations::unset(draws * count(), from.width());
    for (int64_t i = 0; i < rows.count(); ++i)
      std::copy_n(from.at(i / count() * x_.count() + slot(i % count()).token), from.width(), rows.at(i));
    return rows;
  }

  /// by_weights = <g, result>, then g by the unweighted result.
  void weigh(const Activations& result, Activations& g, Activations& by_weights) const {
    for (int64_t i = 0; i < g.count(); ++i) {
      const Slot& s = slot(i % count());
      double along = 0;
      for (int64_t k = 0; k < g.width(); ++k) {
        along += static_cast<double>(g.at(i)[k]) * result.at(i % count())[k];
        g.at(i)[k] *= s.weight;
      }
      by_weights.at(i / count() * x_.count() + s.token)[s.rank] = static_cast<float>(along);
    }
  }

  Activations back_to_input(const Activations& in, const GateGradients& by) const {
    if (experts_.gate_up_)
      return reverse_linear(reverse_, experts_.gate_up_, in, side_by_side({&by.gate, &by.up}), expert_);
    Activations out = reverse_linear(reverse_, experts_.gate_, in, by.gate, expert_);
    add(out, reverse_linear(reverse_, experts_.up_, in, by.up, expert_));
    return out;
  }

  void scatter(const Activations& part, Activations& by_x) const {
    for (int64_t i = 0; i < part.count(); ++i) {
      float* to = by_x.at(i / count() * x_.count() + slot(i % count()).token);
      for (int64_t k = 0; k < part.width(); ++k) to[k] += part.at(i)[k];
    }
  }

  const Experts& experts_;
  const Reverse& reverse_;
  int64_t expert_;
  const Activations &x_, &g_;
  std::vector<Slot> slots_;
};

Experts::Gradients Experts::reverse_mix(const Reverse& reverse, const Activations& logits, const Activations& x,
                                        const Activations& g) const {
  std::vector<Way> ways;
  for (int64_t e = 0; e < routing_.experts; ++e) ways.emplace_back(*this, reverse, e, x, g);
  std::vector<std::vector<Choice>> choices;
  for (int64_t t = 0; t < x.count(); ++t) {
    choices.push_back(route(routing_, logits.row(t)));
    int64_t rank = 0;
    for (const Choice& c : choices.back()) ways[static_cast<size_t>(c.expert)].add_token(t, rank++, c.weight);
  }
  Gradients out{Activations(g.count(), logits.width()), Activations(g.count(), x.width())};
  Activations by_weights(g.count(), routing_.used);
  for (const Way& way : ways) way.run(out.x, by_weights);
  for (int64_t i = 0; i < g.count(); ++i) {
    const int64_t t = i % x.count();
    const auto by = reverse_route(routing_, logits.row(t), choices[static_cast<size_t>(t)], by_weights.row(i));
    std::ranges::copy(by, out.logits.at(i));
  }
  return out;
}

Activations Experts::reverse(const Reverse& reverse, const Activations& x, const Activations& g) const {
  Gradients by = reverse_mix(reverse, apply(reverse.step, router_, x), x, g);
  add(by.x, reverse_linear(reverse, router_, x, by.logits));
  return std::move(by.x);
}

}  // namespace snug::infer

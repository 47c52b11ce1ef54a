#include "infer/layers/experts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/str.hpp"
#include "infer/layers/attention.hpp"

namespace snug::infer {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

/// Indices of the `count` largest values, largest first; the earlier one of equals.
std::vector<int64_t> largest(std::span<const float> values, int64_t count) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)];
  });
  order.resize(static_cast<size_t>(count));
  return order;
}

/// Scores outside the best groups become kNever; a group is as good as the sum of its two best.
void keep_best_groups(const Routing& routing, std::span<float> scores) {
  const auto size = static_cast<size_t>(routing.experts / routing.groups);
  std::vector<float> quality;
  for (size_t g = 0; g < static_cast<size_t>(routing.groups); ++g) {
    const std::span<const float> group = scores.subspan(g * size, size);
    float sum = 0;
    for (const int64_t i : largest(group, std::min<int64_t>(2, static_cast<int64_t>(size))))
      sum += group[static_cast<size_t>(i)];
    quality.push_back(sum);
  }
  const std::vector<int64_t> kept = largest(quality, routing.groups_used);
  for (size_t i = 0; i < scores.size(); ++i)
    if (std::ranges::find(kept, static_cast<int64_t>(i / size)) == kept.end()) scores[i] = kNever;
}

std::vector<float> probabilities(const Routing& routing, std::span<const float> logits) {
  std::vector<float> p(logits.begin(), logits.end());
  if (routing.gating == Routing::Gating::softmax) softmax(p);
  if (routing.gating == Routing::Gating::sigmoid) std::ranges::transform(p, p.begin(), sigmoid);
  if (routing.gating == Routing::Gating::root_of_softplus)
    std::ranges::transform(p, p.begin(), [](float x) { return std::sqrt(softplus(x)); });
  return p;
}

void settle_weights(const Routing& routing, std::span<float> weights) {
  if (routing.gating == Routing::Gating::softmax_of_chosen) softmax(weights);
  if (routing.normalise) {
    const float sum = std::accumulate(weights.begin(), weights.end(), 0.0f);
    for (float& w : weights) w /= std::max(sum, kSmallestSumOfWeights);
  }
  if (routing.scale != 0 && routing.scale != 1)
    for (float& w : weights) w *= routing.scale;
}

}  // namespace

std::vector<Choice> route(const Routing& routing, std::span<const float> logits) {
  const std::vector<float> p = probabilities(routing, logits);
  std::vector<float> scores = p;
  for (size_t i = 0; i < routing.selection.size(); ++i) scores[i] += routing.selection[i];
  if (routing.groups > 1) keep_best_groups(routing, scores);
  const std::vector<int64_t> chosen = largest(scores, routing.used);
  std::vector<float> weights;
  for (const int64_t e : chosen) weights.push_back(p[static_cast<size_t>(e)]);
  settle_weights(routing, weights);
  std::vector<Choice> choices;
  for (size_t i = 0; i < chosen.size(); ++i) choices.push_back({chosen[i], weights[i]});
  return choices;
}

Routing make_routing(const ArchMetadata& keys, const Hparams& hp, Routing::Gating fallback) {
  Routing routing{.gating = fallback,
                  .experts = hp.experts,
                  .used = hp.experts_used,
                  .groups = hp.expert_groups,
                  .groups_used = hp.expert_groups_used,
                  .normalise = hp.expert_norm,
                  .scale = hp.expert_scale};
  if (hp.expert_gating > 4) keys.fail("expert_gating_func", str(hp.expert_gating, " is not one of 0 to 4"));
  if (hp.expert_gating) routing.gating = static_cast<Routing::Gating>(hp.expert_gating);
  return routing;
}

Experts::Experts(Loader& loader, int64_t layer, int64_t embedding, int64_t width, Routing routing,
                 Activation activation, Linear router)
    : routing_{std::move(routing)}, activation_{activation}, router_{std::move(router)} {
  const int64_t n = routing_.experts;
  gate_up_ = loader.linear_if(in_block(layer, "ffn_gate_up_exps"), embedding, 2 * width, n);
  if (!gate_up_) {
    gate_ = loader.linear(in_block(layer, "ffn_gate_exps"), embedding, width, n);
    up_ = loader.linear(in_block(layer, "ffn_up_exps"), embedding, width, n);
  }
  down_ = loader.linear(in_block(layer, "ffn_down_exps"), width, embedding, n);
}

Experts::Halves Experts::project(const Batch& step, int64_t expert, const Activations& x) const {
  if (!gate_up_) {
    std::vector<Activations> both = apply_each(step, {&gate_, &up_}, x, expert);
    return {std::move(both[0]), std::move(both[1])};
  }
  const Activations both = apply(step, gate_up_, x, expert);
  const int64_t width = both.width() / 2;
  return {columns(both, 0, width), columns(both, width, width)};
}

Activations Experts::run(const Batch& step, int64_t expert, const Activations& x) const {
  auto [gated, raised] = project(step, expert, x);
  gate_with(activation_, gated, raised, step.compute);
  return apply(step, down_, gated, expert);
}

Activations Experts::mix(const Batch& step, const Activations& logits, const Activations& x) const {
  struct Slot {
    int64_t token, rank;
    float weight;
  };
  std::vector<std::vector<Slot>> slots(static_cast<size_t>(routing_.experts));
  for (int64_t t = 0; t < x.count(); ++t) {
    int64_t rank = 0;
    for (const Choice& choice : route(routing_, logits.row(t)))
      slots[static_cast<size_t>(choice.expert)].push_back({t, rank++, choice.weight});
  }
  Activations parts(x.count() * routing_.used, x.width());  // [tokens, rank]: so that they can be added by rank
  for (int64_t e = 0; e < routing_.experts; ++e) {
    const std::vector<Slot>& mine = slots[static_cast<size_t>(e)];
    if (mine.empty()) continue;
    Activations in(static_cast<int64_t>(mine.size()), x.width());
    for (size_t i = 0; i < mine.size(); ++i)
      std::copy_n(x.at(mine[i].token), x.width(), in.at(static_cast<int64_t>(i)));
    const Activations out = run(step, e, in);
    for (size_t i = 0; i < mine.size(); ++i) {
      float* part = parts.at(mine[i].token * routing_.used + mine[i].rank);
      const std::span<const float> row = out.row(static_cast<int64_t>(i));
      for (size_t k = 0; k < row.size(); ++k) part[k] = row[k] * mine[i].weight;
    }
  }
  Activations sum(x.count(), x.width());
  for (int64_t t = 0; t < x.count(); ++t)
    for (int64_t rank = 0; rank < routing_.used; ++rank)
      for (int64_t k = 0; k < x.width(); ++k) sum.at(t)[k] += parts.at(t * routing_.used + rank)[k];
  return sum;
}

}  // namespace snug::infer

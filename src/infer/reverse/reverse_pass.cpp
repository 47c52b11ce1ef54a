#include "infer/reverse/reverse_pass.hpp"

#include <algorithm>

#include "base/events.hpp"
#include "model/roles.hpp"

namespace snug::infer {
namespace {

int64_t round_up(int64_t positions) {
  return (positions + 255) / 256 * 256;
}

}  // namespace

int lowest_differentiable(const Model& model) {
  int layer = model.layers();
  while (layer > 0 && model.architecture().reverses(layer - 1)) --layer;
  return layer;
}

bool differentiable(const Model& model, std::string_view tensor) {
  if (!model.find(tensor)) return false;
  const int block = layer_of(tensor), lowest = lowest_differentiable(model);
  if (block >= 0) return block >= lowest;
  return role_of(tensor) == Role::output || lowest == 0;
}

ReversePass::ReversePass(const Model& model, std::span<const int32_t> tokens, int64_t draws,
                         const ReverseHooks& hooks, std::function<const Activations&(int layer)> lender,
                         Replacements replaced)
    : model_{model},
      tokens_(tokens.begin(), tokens.end()),
      replaced_{std::move(replaced)},
      step_{.tokens = tokens_,
            .lanes = {{&memory_, 0, 0, static_cast<int64_t>(tokens_.size())}},
            .context = round_up(static_cast<int64_t>(tokens_.size())),
            .compute = Compute::exact,
            .hooks = none_,
            .replaced = replaced_},
      reverse_{.step = step_, .hooks = hooks, .draws = draws, .lender = std::move(lender)},
      gradients_(draws * static_cast<int64_t>(tokens_.size()), model.hparams().embedding) {
  model.architecture().embed(step_);  // leaves Step::extra for the blocks
}

void ReversePass::head(const Activations& hidden, int64_t first_scored, const LogitGradients& gradients) {
  const int64_t tokens = hidden.count(), piece = std::clamp<int64_t>(kLogitsAtOnce / model_.vocabulary(), 1, tokens);
  for (int64_t begin = first_scored; begin < tokens; begin += piece) {
    check_cancelled();
    const int64_t count = std::min(piece, tokens - begin);
    Activations some = Activations::unset(count, hidden.width());
    std::copy_n(hidden.at(begin), count * hidden.width(), some.at(0));
    const Activations by = model_.architecture().reverse_head(
        reverse_, some, [&](const Activations& logits) { return gradients(begin, logits); });
    for (int64_t draw = 0; draw < reverse_.draws; ++draw)
      std::copy_n(by.at(draw * count), count * by.width(), gradients_.at(draw * tokens + begin));
  }
}

void ReversePass::layer(int layer, const Activations& hidden) {
  check_cancelled();
  model_.architecture().reverse_layer(reverse_, layer, hidden, gradients_);
}

void ReversePass::embed() {
  model_.architecture().reverse_embed(reverse_, gradients_);
}

}  // namespace snug::infer

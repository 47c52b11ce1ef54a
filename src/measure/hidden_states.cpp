#include "measure/hidden_states.hpp"

#include <algorithm>

#include "infer/session.hpp"

namespace snug {
namespace {

infer::Activations copy_of(Matrix<const float> rows) {
  infer::Activations copy = infer::Activations::unset(rows.rows, rows.cols);
  std::copy_n(rows.data, rows.rows * rows.cols, copy.at(0));
  return copy;
}

}  // namespace

HiddenStates::HiddenStates(const infer::Model& model, std::span<const int32_t> tokens, int stride)
    : model_{model}, tokens_(tokens.begin(), tokens.end()), stride_{stride} {
  run(0, model.layers() + 1);
}

HiddenStates::HiddenStates(const infer::Model& model, infer::RowStore& store)
    : model_{model}, stride_{1}, store_{&store} {}

/// Keeps those before blocks [from, to): all that lie close together, of a run through the whole model every stride-th.
void HiddenStates::run(int from, int to) {
  const auto count = static_cast<int64_t>(tokens_.size());
  infer::Session session{model_, {.context = count, .batch = count}};
  const bool whole = kept_.empty();
  session.hooks.on_boundary = [&](int layer, int64_t, Matrix<const float> rows) {
    if (whole && layer < model_.layers() && model_.architecture().lends(layer))
      lenders_.emplace(layer, copy_of(rows));
    const bool wanted = whole ? layer % stride_ == 0 || layer == model_.layers() : layer >= from && layer < to;
    if (wanted && !kept_.contains(layer)) kept_.emplace(layer, copy_of(rows));
  };
  auto start = kept_.upper_bound(model_.architecture().restart(from));
  if (whole || start == kept_.begin())
    session.forward(tokens_, count);
  else
    session.resume((--start)->first, tokens_, start->second.view(), count);
}

const infer::Activations& HiddenStates::before(int layer) {
  kept_.erase(kept_.upper_bound(layer), kept_.end());
  if (store_) {
    if (!kept_.contains(layer)) kept_.emplace(layer, stored_.at(static_cast<size_t>(layer))->read());
    return kept_.at(layer);
  }
  if (!kept_.contains(layer)) run(layer / stride_ * stride_, layer + 1);
  return kept_.at(layer);
}

const infer::Activations& HiddenStates::before_lender(int layer) {
  if (store_ && !lenders_.contains(layer)) lenders_.emplace(layer, stored_.at(static_cast<size_t>(layer))->read());
  return lenders_.at(layer);
}

int HiddenStates::stride_for(const infer::Model& model, int64_t chunks, int64_t tokens, int64_t bytes) {
  const int64_t each = chunks * tokens * model.hparams().embedding * 4, layers = model.layers();
  int best = 1;
  int64_t least = INT64_MAX;
  for (int stride = 1; stride <= layers; ++stride) {
    const int64_t needed = (layers / stride + 1 + (stride > 1 ? stride : 0)) * each;
    if (needed <= bytes) return stride;
    if (needed < least) {
      least = needed;
      best = stride;
    }
  }
  return best;
}

}  // namespace snug

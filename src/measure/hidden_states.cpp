#include "measure/hidden_states.hpp"

#include <algorithm>

namespace snug {

const infer::Activations& HiddenStates::before(int layer) {
  if (layer == now_before_) return now_;
  stored_.resize(std::min(stored_.size(), static_cast<size_t>(layer) + 1));
  now_ = copy(layer);
  now_before_ = layer;
  return now_;
}

const infer::Activations& HiddenStates::before_lender(int layer) {
  if (!lenders_.contains(layer)) lenders_.emplace(layer, copy(layer));
  return lenders_.at(layer);
}

}  // namespace snug

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "infer/row_store.hpp"
#include "infer/rows.hpp"

namespace snug {

/// The residual stream of one sequence before each block, and behind the last: kept one after the other on the way
/// through a model, and wanted from the end to the beginning by a reverse pass.
class HiddenStates {
 public:
  explicit HiddenStates(infer::RowStore& store) : store_{store} {}

  /// [tokens, embedding] before the next block.
  void keep(infer::Activations rows) { stored_.push_back(store_.keep(std::move(rows))); }

  /// Before block `layer`; the number of blocks for behind the last. Later ones are forgotten.
  const infer::Activations& before(int layer);
  /// The same of a block that lends() keys and values, which stays at hand.
  const infer::Activations& before_lender(int layer);
  /// A copy of it, nothing forgotten.
  infer::Activations copy(int layer) const { return stored_.at(static_cast<size_t>(layer))->read(); }

 private:
  infer::RowStore& store_;
  std::vector<std::shared_ptr<infer::StoredRows>> stored_;
  infer::Activations now_;
  int now_before_ = -1;
  std::map<int, infer::Activations> lenders_;
};

}  // namespace snug

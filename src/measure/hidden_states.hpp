#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "infer/model.hpp"
#include "infer/row_store.hpp"

namespace snug {

/// The residual stream of one sequence before each block, and behind the last, as a reverse pass wants it: from the
/// end to the beginning. Keeps some and computes the ones between again.
class HiddenStates {
 public:
  /// Runs the model over `tokens`. Every `stride`-th block's is kept.
  HiddenStates(const infer::Model& model, std::span<const int32_t> tokens, int stride);

  /// Those of a sequence on its way through a sweep, which is to keep() them one after the other.
  HiddenStates(const infer::Model& model, infer::RowStore& store);
  void keep(infer::Activations rows) { stored_.push_back(store_->keep(std::move(rows))); }

  /// [tokens, embedding] before block `layer`; layers() for behind the last. Later ones are forgotten.
  const infer::Activations& before(int layer);
  /// The same of a block that lends() keys and values, which is kept all the time.
  const infer::Activations& before_lender(int layer);

  /// The least stride with which `chunks` sequences of `tokens` take no more than so many bytes, if any does.
  static int stride_for(const infer::Model& model, int64_t chunks, int64_t tokens, int64_t bytes);

 private:
  void run(int from, int to);

  const infer::Model& model_;
  std::vector<int32_t> tokens_;
  int stride_;
  std::map<int, infer::Activations> kept_, lenders_;
  infer::RowStore* store_ = nullptr;  // of a sweep's,
  std::vector<std::shared_ptr<infer::StoredRows>> stored_;
};

}  // namespace snug

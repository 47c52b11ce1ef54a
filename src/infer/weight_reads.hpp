#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "infer/model.hpp"

namespace snug::infer {

/// Which weights a sweep reads when. Pages of a model that is not to stay in memory are asked for before they are
/// needed, and let go of behind that. Counts what was read.
class WeightReads {
 public:
  explicit WeightReads(const Model& model);

  static constexpr int kOutside = -1;  // of all blocks: embeddings and head
  /// Block `block`, or what lies outside of all, comes next; nothing where there is no such block.
  void will_need(int block) const;
  /// All sequences have gone through it.
  void done_with(int block);

  int64_t bytes() const { return bytes_; }
  /// How often the model was read: bytes() by its size.
  double times() const;
  /// Logs that of a stage, where pages are let go of.
  void tell(std::string_view stage) const;

 private:
  const std::vector<const Tensor*>& tensors_of(int block) const;

  const ModelSource& source_;
  std::vector<std::vector<const Tensor*>> tensors_;  // of the outside, then of each block
  bool lets_go_;
  int64_t bytes_ = 0;
};

}  // namespace snug::infer

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "snug/model.hpp"

namespace snug {

/// Tensors between which a factor for each channel moves freely: what writes the channels is divided by it, the columns
/// that read them are multiplied with it, and the model computes the same. All readers of the channels are here.
struct FoldPair {
  std::string name;                     // the writer's, without what kind of tensor it is: "blk.0.attn_norm"
  const Tensor* writer = nullptr;       // a norm's vector, or a matrix whose rows make the channels
  const Tensor* bias = nullptr;         // the matrix's; nullptr: none
  int64_t first_row = 0;                // of the channels, in every matrix of the writer
  int64_t channels = 0;                 // of one matrix
  int64_t matrices = 1;                 // each with channels of its own: experts
  int64_t head = 0, heads_sharing = 1;  // so many heads of readers' columns in a row read one head of channels
  std::vector<const Tensor*> readers;   // by columns
  const Tensor* row_reader = nullptr;   // by the rows of each of its matrices, as a transposed one does

  bool is_vector() const { return writer->dims == 1; }
  /// The factor of every column of a reader, from those of the channels, [matrices * channels].
  std::vector<float> of_columns(std::span<const float> factors) const;
};

/// All pairs of a model whose tensors are floating-point numbers, in the order of layers. Throws Error where the
/// architecture's forward pass, and so who reads what, is not known.
std::vector<FoldPair> fold_pairs(const ModelSource& model);

}  // namespace snug

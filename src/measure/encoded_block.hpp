#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "encode/encode_tensor.hpp"
#include "infer/gathered.hpp"
#include "infer/model.hpp"
#include "infer/step.hpp"
#include "measure/tensor_formats.hpp"

namespace snug {

/// The whole tensor in a format, the same each time.
using Encode = std::function<Encoded(const Tensor& tensor, const Format& format)>;

/// Tensors of one block, or of those outside all, as a recipe or a variant of it has them: what does not fit into a
/// share of memory lies in a mapped file.
struct EncodedBlock {
  std::deque<infer::Gathered> tensors;
  infer::Replacements all;

  /// `in_memory`: bytes of that share that are taken, by all blocks that are there at a time.
  void add(const infer::Model& model, const Encoded& tensor, int64_t& in_memory);
};

/// What `formats` has of a block; of WeightReads::kOutside what is outside of all.
EncodedBlock encode_block(const infer::Model& model, const TensorFormats& formats, const Encode& encode, int block,
                          int64_t& in_memory);

/// A recipe block by block, for a model that is not to stay in memory: encoded when it is asked for and forgotten when
/// another is. What is outside of all blocks is kept, and blocks that lend keys and values to later ones.
class RecipeBlocks {
 public:
  RecipeBlocks(const infer::Model& model, TensorFormats formats, Encode encode);

  const infer::Replacements& of(int block);

 private:
  const infer::Model& model_;
  TensorFormats formats_;
  Encode encode_;
  int64_t in_memory_ = 0;  // of what is kept
  std::deque<EncodedBlock> kept_;
  infer::Replacements lent_, outside_;
  EncodedBlock present_;
};

}  // namespace snug

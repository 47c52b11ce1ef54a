#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "infer/model.hpp"
#include "infer/sweep_place.hpp"
#include "measure/chunk_comparison.hpp"
#include "measure/encoded_block.hpp"
#include "measure/tensor_formats.hpp"
#include "measure/text_chunks.hpp"

namespace snug {

/// A recipe, on some chunks, but for one tensor (or none: empty): that is in a format of its own, or as in the
/// original (nullptr).
struct RecipeVariant {
  std::string tensor;
  const Format* format = nullptr;
  std::vector<int64_t> chunks{};
};

/// The original beside each variant on each of its chunks, from one sweep through the model: a block is encoded when the
/// sweep gets to it and forgotten behind it, and a variant leaves the recipe's way at the block that its tensor is in.
/// Exact mode; the figures of ReferenceRun, to the bit.
/// Where the sweep stands is saved between two blocks, no
/// more often than every `save_seconds`, and the same call goes on from there.
std::vector<std::vector<ChunkComparison>> sweep_recipe(
    const infer::Model& model, const TextChunks& text, const TensorFormats& formats,
    const Encode& encode, const std::vector<RecipeVariant>& variants, const infer::SavedSweep& saved = {}, double save_seconds = 30);

}  // namespace snug

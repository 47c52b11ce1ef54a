#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "infer/model.hpp"
#include "infer/step.hpp"
#include "measure/sensitivity/saved_way.hpp"
#include "measure/text_chunks.hpp"
#include "snug/matrix.hpp"

namespace snug {

/// What stands in for weights of the model where a recipe is run through `block` (WeightReads::kOutside: through
/// embeddings and head). Good until the next call, and for all threads.
using StandIns = std::function<const infer::Replacements&(int block)>;

/// Hidden states of chunks that were run before, each where it is known.
struct KnownRuns {
  /// Of the original behind the last block, of the scored tokens.
  std::function<Matrix<const float>(int64_t chunk)> original{};
  /// Of the recipe before a block, but the first, and of all tokens; of the scored ones alone behind the last. Known only
  /// where the original's are.
  std::function<Matrix<const float>(int64_t chunk, int block)> recipe{};
};

/// Of every tensor that stands in, on one chunk.
using Slopes = std::map<std::string, double, std::less<>>;

/// How the divergence of a recipe falls on the way back to the original, for all of its tensors at once, from one
/// reverse pass of the mean KL(original || recipe) over the scored tokens of each of `chunks`: with G the gradient by a
/// tensor as the recipe has it and d what encoding has changed of it, the sum of G d, in nats per token.
///
/// Where the divergence is a quadratic form of what was changed, putting a tensor back gains its slope less what its
/// change makes alone, and all slopes add up to twice the divergence. Tensors that no reverse pass reaches
/// (infer::differentiable) are missing. What is not `known` is run. Exact mode; the same bits on any number of threads.
/// Ctrl-C throws Fault::interrupted. Where the pass stands is saved between two blocks, and the same call, of which `key`
/// tells what stands in, goes on from there.
std::vector<Slopes> recipe_slopes(const infer::Model& model, const TextChunks& text, std::span<const int64_t> chunks,
                                  const StandIns& stand_ins, const KnownRuns& known = {}, const SaveWay& saved = {},
                                  const Digest& key = {});

/// Tells whoever follows the work that this stage needs no run, because all that it would tell is known.
void tell_slopes_known(const infer::Model& model);

}  // namespace snug

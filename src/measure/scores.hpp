#pragma once

#include <cstdint>

#include "infer/rows.hpp"
#include "snug/digest.hpp"

namespace snug {

/// Random gradients z by logits [tokens, vocabulary] with the second moment E[z z^T] = diag(p) - p p^T, the
/// curvature of KL in the logits: [draws * tokens, vocabulary]. The gradients of the log-likelihood of labels drawn
/// from p have it too, but are nearly 0 most of the time and large now and then; with random signs e,
///
///   z_k = sqrt(p_k) e_k - p_k sum_j sqrt(p_j) e_j
///
/// all tokens of the vocabulary have their say in every draw. Depends on the logits, the chunk, the draw and the
/// position `first` + row, and on nothing else.
infer::Activations score_gradients(const infer::Activations& logits, int64_t first, int64_t draws,
                                   const Digest& chunk);

}  // namespace snug

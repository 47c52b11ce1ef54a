#pragma once

#include <span>

#include "infer/model.hpp"
#include "infer/rows.hpp"

namespace snug {

/// KL(original || model) of each row in nats, as written to kl [rows, at least]. Throws Error naming the model where the
/// original's logits are no numbers. Same bits on any number of threads.
///
///   original  [rows, vocabulary] logits, with
///   logits    [rows, vocabulary] those of the model
void row_divergences(const infer::Model& model, Matrix<const float> original, const infer::Activations& logits,
                     std::span<double> kl);

}  // namespace snug

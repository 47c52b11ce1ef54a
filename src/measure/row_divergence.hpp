#pragma once

#include <cstdint>
#include <span>

#include "eval/divergence.hpp"
#include "infer/model.hpp"
#include "infer/rows.hpp"

namespace snug {

/// What the model and its original say at each row, KL(original || model) among it, as written to pairs [rows, at least].
/// Throws Error naming the model where the original's logits are no numbers. Same bits on any number of threads.
///
///   original  [rows, vocabulary] logits, with
///   log_sums  [rows] infer::log_sum_exp() of them, or empty: not known yet
///   logits    [rows, vocabulary] those of the model
///   next      [rows, or one less] tokens that came; what follows the end of a chunk nobody knows, and counts as token 0
void compare_rows(const infer::Model& model, Matrix<const float> original, std::span<const double> log_sums,
                  const infer::Activations& logits, std::span<const int32_t> next, std::span<infer::TokenPair> pairs);

}  // namespace snug

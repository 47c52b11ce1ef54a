#pragma once

#include <string>
#include <vector>

#include "calibrate/column_sums.hpp"
#include "calibrate/head_importance.hpp"
#include "calibrate/moment_inputs.hpp"

namespace snug {

/// What is collected of a text beside the sums of columns.
struct CollectedMoments {
  std::vector<MomentInput> inputs;
  RowGroups groups;        // of the head's rows, or none,
  std::string rows_input;  // and the name of their input
};

/// Adds what is shown of a text, chunk after chunk, to sums of columns (where there are any) and to the second
/// moments of one pass.
class PassSums {
 public:
  PassSums(const CollectedMoments& collected, std::vector<MomentSums>& moments, ColumnSumsByTensor* columns)
      : collected_{collected}, moments_{collected.inputs, moments}, columns_{columns} {}

  void begin_chunk() { moments_.begin_chunk(); }
  /// Of some tokens of the chunk, before the head's inputs.
  void add_logits(const infer::Activations& logits) { sensitivity_.push_back(sensitivities(collected_.groups, logits)); }
  void add(const infer::Weight& weight, int64_t matrix, Matrix<const float> inputs);

 private:
  void add_row_moments(Matrix<const float> inputs);

  const CollectedMoments& collected_;
  MomentCollector moments_;
  ColumnSumsByTensor* columns_;
  std::vector<infer::Activations> sensitivity_;  // of the groups to tokens of the present chunk
};

}  // namespace snug

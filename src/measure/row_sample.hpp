#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/model.hpp"
#include "snug/digest.hpp"
#include "snug/model.hpp"

namespace snug {

/// The rows of a tensor that stand for all of it. Rows of a group act in step on the model's output: those of one
/// attention head of q, k and v; elsewhere a row is a group by itself.
struct RowSample {
  std::vector<int64_t> rows;    // ascending, over all matrices; whole groups
  std::vector<int64_t> groups;  // rows[i] belongs to group groups[i], 0 <= group < weights.size()
  std::vector<double> weights;  // of each group: one over the chance it had to be taken
  int64_t population = 0;       // rows of the tensor

  bool whole() const { return static_cast<int64_t>(rows.size()) == population; }
  Digest digest() const;
};

/// Rows that act in step, 1 where none do.
int64_t rows_in_step(const infer::Model& model, const Tensor& tensor);

/// Groups spread evenly over the tensor as measuring spreads rows (RowOrder), every one as likely as the others.
RowSample spread_sample(const Tensor& tensor, int64_t group_rows, int64_t rows);

/// Rows with chances in proportion to `sizes` (of each row; 0: never), at most 1: those of tokens that come often
/// in a matrix that has a row for each token. The same for the same sizes.
RowSample proportional_sample(std::span<const double> sizes, int64_t rows);

/// How many rows of so many columns are looked at, of which so many act in step: each is encoded in every format, and its
/// gradients are summed on every chunk.
int64_t sample_rows(int64_t cols, int64_t group_rows = 1);

}  // namespace snug

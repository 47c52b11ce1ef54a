#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "infer/rows.hpp"
#include "infer/weight.hpp"
#include "calibrate/chunk_runner.hpp"
#include "snug/matrix.hpp"

namespace snug {

/// Rows of the output matrix in groups whose logits matter on the same tokens. An error of logit v costs
/// p_v (1 - p_v) / 2 of its square, so what inputs the row should be right on are those where p_v is neither
/// next to 0 nor next to 1; a second moment for each row would be as large as a model, one for each group is
/// not.
struct RowGroups {
  int64_t count = 0;
  std::vector<int32_t> group_of{};  // [rows], each below `count`

  bool empty() const { return group_of.empty(); }
};

/// Groups for a head of so many rows: 64, or fewer where a group would have less than 16 rows; 0 where that
/// leaves one.
int64_t row_group_count(int64_t rows);

/// k-means over C w_v in units of each column's spread, C the covariance of inputs [tokens, cols]: how row
/// v's logit goes with each column. Deterministic on any threads; O(rows * cols * (cols + 10 groups))
/// products, rows * cols floats of memory.
RowGroups group_rows(const infer::Weight& head, Matrix<const float> inputs);

/// The same from the first chunks of the runner's text, and the head's name; none where rows of the head are
/// not the logits, or are few.
RowGroups find_row_groups(ChunkRunner& runner, std::string& tensor);

/// [tokens, groups]: the sum over a group's rows of p (1 - p).
infer::Activations sensitivities(const RowGroups& groups, const infer::Activations& logits);

/// The tokens on which a group matters, each row of inputs times the root of its sensitivity: the sum of
/// their outer products is the group's second moment. Those that matter next to nothing are left out.
infer::Activations weighted_inputs(Matrix<const float> inputs, const infer::Activations& sensitivity,
                                   int64_t group);

}  // namespace snug

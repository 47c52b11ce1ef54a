#pragma once

#include <cstdint>
#include <vector>

#include "imatrix/importance.hpp"
#include "infer/rows.hpp"
#include "snug/format.hpp"
#include "snug/model.hpp"

namespace snug {

/// What formats do to rows of a tensor.
class FormatErrors {
 public:
  /// The tensor and its importance (nullptr: none) live longer.
  FormatErrors(const Tensor& tensor, const TensorImportance* importance, std::vector<const Format*> formats, Effort effort);

  const std::vector<const Format*>& formats() const { return formats_; }

  /// Encodes the row in all formats, as measuring does: errors [formats, cols or more] get decoded minus original in
  /// their first columns, the others stay.
  void of_row(int64_t row, infer::Activations& errors) const;

 private:
  const Tensor& tensor_;
  const TensorImportance* importance_;
  std::vector<const Format*> formats_;
  Effort effort_;
};

/// Mean squared output that each row makes, of all rows: sum_j v_j w_j^2, 1 for v without importance.
std::vector<double> row_energies(const Tensor& tensor, const TensorImportance* importance);

}  // namespace snug

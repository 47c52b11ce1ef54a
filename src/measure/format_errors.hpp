#pragma once

#include <vector>

#include "imatrix/importance.hpp"
#include "infer/rows.hpp"
#include "measure/row_sample.hpp"
#include "snug/format.hpp"
#include "snug/model.hpp"

namespace snug {

/// What formats do to some rows of a tensor.
class FormatErrors {
 public:
  FormatErrors() = default;
  /// Encodes the sample's rows in all formats, as measuring does. On all threads; the same on any number.
  FormatErrors(const Tensor& tensor, const TensorImportance* importance,
               std::vector<const Format*> formats, const RowSample& sample, Effort effort);

  /// Decoded minus original, [cols], of the sample's row i in formats()[format].
  const float* at(int64_t i, size_t format) const {
    return errors_.at(i * static_cast<int64_t>(formats_.size()) + static_cast<int64_t>(format));
  }
  const std::vector<const Format*>& formats() const { return formats_; }

 private:
  std::vector<const Format*> formats_;
  infer::Activations errors_;  // [rows * formats, cols]
};

/// Mean squared output that each row makes, of all rows: sum_j v_j w_j^2, 1 for v without importance.
std::vector<double> row_energies(const Tensor& tensor, const TensorImportance* importance);

}  // namespace snug

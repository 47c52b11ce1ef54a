#pragma once

#include <span>
#include <vector>

#include "measure/format_errors.hpp"
#include "measure/row_sample.hpp"
#include "measure/sensitivity/row_gradients.hpp"

namespace snug {

/// SensitivityRecord::sum of one tensor on each chunk in each format of `errors`, [chunks][formats]: 0 of a chunk that
/// showed no gradients of it (nullptr). The others' are of the rows of `sample`. Each row is encoded once, for all chunks.
/// Same bits on any number of threads.
std::vector<std::vector<double>> format_squares(const FormatErrors& errors, const RowSample& sample,
                                                std::span<const RowGradients* const> chunks);

}  // namespace snug

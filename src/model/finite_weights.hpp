#pragma once

#include "snug/model.hpp"
#include "snug/state.hpp"

namespace snug {

/// Throws Error naming file, tensor, row and column of the first weight of a tensor that is NaN or infinite.
/// Rows of experts are counted one expert after another. Tensors of integers are finite.
void check_finite(const Tensor& tensor);

/// The same of all tensors: reads the whole model, shows progress, hears Ctrl-C.
void check_finite(const ModelSource& model);

/// The same, once for each model that a state is of: what a state has seen to be finite is not read again.
void check_finite_once(const ModelSource& model, Store& state);

}  // namespace snug

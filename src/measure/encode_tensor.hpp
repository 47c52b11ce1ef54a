#pragma once

#include <vector>

#include "gguf/reader.hpp"
#include "measure/importance.hpp"
#include "measure/probe_base.hpp"

namespace snug {

/// The whole tensor in `format`, which fits its rows, and its rho as docs/loss.md defines it, over all rows.
/// On all threads; the same bytes on any number of them.
Encoded encode_tensor(const gguf::Tensor& tensor, const Format& format, const TensorImportance* importance);

}  // namespace snug

#pragma once

#include "hf/sources.hpp"

namespace snug::hf {

/// The tensors that stand for one packed matrix.
struct PackedParts {
  const Source* codes;           // integers of a few bits, packed along the columns into words of 32
  const Source* scale;           // of every group of columns of a row
  const Source* shape;           // rows and columns of the matrix
  const Source* zero = nullptr;  // of every group, packed along the rows; null: the middle of the range
};

/// The matrix as bf16, made on reading. Throws Error naming the tensor where sizes or types do not fit.
Tensor unpacked(const PackedParts& parts, int bits);

}  // namespace snug::hf

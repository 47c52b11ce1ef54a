#pragma once

#include <span>
#include <vector>

#include "snug/model.hpp"
#include "imatrix/hessian_factors.hpp"
#include "imatrix/importance.hpp"

namespace snug {

/// A tensor in another format, whole; rho is its relative output error.
struct Encoded {
  std::string_view tensor;
  const Format* format = nullptr;
  std::vector<std::byte> data;
  double rho = 0;
};

/// The whole tensor in `format`, which fits its rows, and its rho as docs/loss.md defines it, over all rows.
/// With `curvatures`, and where they know its input, by encode_second_order(): the same bytes as
/// quantize_model() writes at that effort. `plain`: all blocks as they are without curvatures, where they are
/// known, which spares making them again. On all threads; the same bytes on any number of them.
Encoded encode_tensor(const Tensor& tensor, const Format& format, const TensorImportance* importance,
                      Effort effort = Effort::normal, HessianFactors* curvatures = nullptr,
                      std::span<const std::byte> plain = {});

/// Rows of one matrix of a tensor, as encode_tensor() encodes them. One thread.
///
///   weights  [rows, cols], the rows from `first` on
///   blocks   rows * format.row_bytes(cols) bytes, overwritten; where they `are_plain`, they hold what the rows
///            are without curvature
void encode_rows(const Format& format, Matrix<const float> weights, const ColumnWeights& columns,
                 const HessianFactor* curvature, Effort effort, std::span<std::byte> blocks, bool are_plain = false);

}  // namespace snug

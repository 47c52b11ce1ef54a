#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "snug/model.hpp"

// Tensors whose rows are other tensors' rows: in place wherever the bytes lie somewhere as they are wanted, made on
// reading where they do not. Nothing is copied but handles.
namespace snug::hf {

/// Writes one row as the new tensor's format stores it; threads call it at once.
using MakeRow = std::function<void(int64_t row, std::span<std::byte> out)>;

/// A tensor of `format` with a row-major shape (the last dimension contiguous), all rows at `data`.
Tensor tensor_at(FormatId format, std::span<const int64_t> shape, const std::byte* data, std::string_view file);
/// The same with rows made on reading.
Tensor tensor_made(FormatId format, std::span<const int64_t> shape, std::string_view file, MakeRow make);
/// The same of bf16, with rows made as numbers and rounded.
Tensor tensor_decoded(std::span<const int64_t> shape, std::string_view file,
                      std::function<void(int64_t row, std::span<float> out)> decode);
/// The same of values that lie nowhere in a file.
Tensor tensor_of(std::vector<float> values, std::string_view file);

/// The same tensor as [cols, rows, matrices], as many dimensions as given; the number of weights stays. Only a tensor
/// as a file stores it, plain_tensor(), can get rows of another length.
Tensor reshaped(Tensor tensor, std::initializer_list<int64_t> shape);

/// Whether every row lies somewhere as it is stored.
bool in_place(const Tensor& tensor);

/// Decodes a row of a tensor of a known format; values are not checked.
void decode_row(const Tensor& tensor, int64_t row, std::span<float> out);

/// Rows of `from` in another order, as one matrix: runs of `run_rows` rows, run r from row first_rows[r] on.
Tensor selected(const Tensor& from, int64_t run_rows, std::vector<int64_t> first_rows);

/// Matrices of one shape and format behind each other, as the experts of one tensor.
Tensor stacked(std::vector<Tensor> parts);

/// Experts' matrices of two tensors of one shape and format: of every expert first the rows of `first`, then those of
/// `second`.
Tensor side_by_side(const Tensor& first, const Tensor& second);

/// The first half of every matrix's rows, and the second half.
std::pair<Tensor, Tensor> halves(const Tensor& from);

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Whether its elements are plain numbers, each by itself.
bool is_unquantized(const Tensor& tensor);

/// Every matrix of a tensor transposed: rows made by gathering columns. A quantized one becomes f32.
Tensor transposed(const Tensor& from);

/// As f32, after `change` on every row (null: no change). Quantized ones are decoded.
Tensor changed(const Tensor& from, std::function<void(std::span<float>)> change);
Tensor as_f32(const Tensor& from);

/// Columns of a tensor in another order: column c is column from_column[c] of `from`, which may have more of them. A
/// quantized one becomes f32.
Tensor selected_columns(const Tensor& from, std::vector<int64_t> from_column);

}  // namespace snug::hf

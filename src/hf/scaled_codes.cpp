#include "hf/scaled_codes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

using safetensors::Dtype;

/// A minifloat without infinities where `all_ones_nan`: E4M3 as machine learning uses it; else as IEEE's.
float minifloat(uint8_t code, int mantissa_bits, int bias, bool all_ones_nan) {
  const int exponent_bits = 7 - mantissa_bits;
  const int mantissa = code & ((1 << mantissa_bits) - 1);
  const int exponent = (code >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const float sign = code & 0x80 ? -1.0f : 1.0f;
  const int last = (1 << exponent_bits) - 1;
  if (all_ones_nan && (code & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  if (!all_ones_nan && exponent == last)
    return mantissa ? std::numeric_limits<float>::quiet_NaN() : sign * std::numeric_limits<float>::infinity();
  const int digits = exponent ? (1 << mantissa_bits) | mantissa : mantissa;
  return sign * std::ldexp(static_cast<float>(digits), std::max(exponent, 1) - bias - mantissa_bits);
}

template <class Value>
std::array<float, 256> table_of(Value value) {
  std::array<float, 256> table;
  for (int code = 0; code < 256; ++code) table[static_cast<size_t>(code)] = value(static_cast<uint8_t>(code));
  return table;
}

/// What the 256 codes of an element of one byte mean; nullptr for other types.
const std::array<float, 256>* meanings(Dtype dtype) {
  static const auto e4m3 = table_of([](uint8_t c) { return minifloat(c, 3, 7, true); });
  static const auto e5m2 = table_of([](uint8_t c) { return minifloat(c, 2, 15, false); });
  static const auto i8 = table_of([](uint8_t c) { return static_cast<float>(static_cast<int8_t>(c)); });
  switch (dtype) {
    case Dtype::f8_e4m3: return &e4m3;
    case Dtype::f8_e5m2: return &e5m2;
    case Dtype::i8: return &i8;
    default: return nullptr;
  }
}

/// One factor for `rows` x `cols` weights each; the last of a row or column may have fewer.
struct Scales {
  Tensor values;  // [matrices * rows of blocks, blocks of a row]
  int64_t rows = 1, cols = 1;      // of weights to a block
  int64_t matrix_rows = 1;         // of weights: blocks do not reach from one expert into the next
  int64_t matrix_block_rows = 1;

  void row(int64_t r, std::vector<float>& out) const {
    const int64_t block = r / matrix_rows * matrix_block_rows + r % matrix_rows / rows;
    out.resize(static_cast<size_t>(values.cols()));
    decode_row(values, block, out);
  }
};

/// The scales of a tensor [.., rows, cols] in blocks of block_rows x block_cols.
Scales block_scales(const Source& weight, const Source& scale, int64_t block_rows, int64_t block_cols) {
  const std::vector<int64_t>& shape = weight.raw->shape;
  constexpr int64_t kMost = INT32_MAX;
  if (shape.size() < 2 || block_rows < 1 || block_cols < 1 || block_rows > kMost || block_cols > kMost ||
      weight.raw->bytes.empty())
    weight.refuse(str("the tensor ", quoted(weight.name), " is no matrix that could have scales"));
  const int64_t cols = shape.back(), rows = shape[shape.size() - 2];
  Scales scales{plain_tensor(*scale.raw), block_rows, block_cols, rows, ceil_div(rows, block_rows)};
  int64_t matrices = 1;
  for (size_t d = 0; d + 2 < shape.size(); ++d) matrices *= shape[d];
  if (scales.values.weights() != matrices * scales.matrix_block_rows * ceil_div(cols, block_cols))
    scale.refuse(str("the scales ", quoted(scale.name), " are ", scales.values.weights(), ", not one for every ",
                     block_rows, " x ", block_cols, " weights"));
  scales.values = reshaped(scales.values, {ceil_div(cols, block_cols), matrices * scales.matrix_block_rows});
  return scales;
}

/// As many as there are: one for the tensor, one for every row, or, where the config says so, for every block.
Scales fitting_scales(const Source& weight, const Source& scale, const std::vector<int64_t>& block) {
  if (block.size() == 2) return block_scales(weight, scale, block[0], block[1]);
  const std::vector<int64_t>& shape = weight.raw->shape;
  if (shape.size() < 2) weight.refuse(str("the tensor ", quoted(weight.name), " is no matrix"));
  const bool one = plain_tensor(*scale.raw).weights() == 1 && shape.size() == 2;
  return block_scales(weight, scale, one ? shape[0] : 1, shape.back());
}

}  // namespace

Tensor scaled_codes(const Source& weight, const Source& scale, const std::vector<int64_t>& block) {
  const auto* meaning = meanings(weight.raw->dtype);
  if (!meaning)
    weight.refuse(str("the tensor ", quoted(weight.name), " has scales, but holds ", dtype_name(weight.raw->dtype)));
  const Scales scales = fitting_scales(weight, scale, block);
  const std::byte* data = weight.raw->bytes.data();
  return tensor_decoded(weight.raw->shape, weight.raw->file, [=](int64_t row, std::span<float> out) {
    std::vector<float> factors;
    scales.row(row, factors);
    const std::byte* codes = data + row * static_cast<int64_t>(out.size());
    for (size_t c = 0; c < out.size(); ++c)
      out[c] = (*meaning)[static_cast<size_t>(codes[c])] * factors[c / static_cast<size_t>(scales.cols)];
  });
}

}  // namespace snug::hf

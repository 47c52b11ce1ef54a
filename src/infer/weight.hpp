#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "snug/format.hpp"

namespace snug::infer {

/// A matrix of the model in its packed form, or `matrices` of one shape back to back (experts, or heads).
/// The bytes are views: into mapped files, or into a buffer that replaces them.
struct Weight {
  std::string name;  // as in the file, e.g. "blk.0.ffn_down_exps.weight"
  const Format* format = nullptr;
  int64_t cols = 0;  // inputs
  int64_t rows = 0;  // outputs of one matrix
  int64_t matrices = 1;
  std::span<const std::byte> data{};          // of all matrices, back to back; empty with parts
  std::vector<const std::byte*> parts{};      // or each matrix by itself
  std::span<const std::byte> repacked{};  // the same as Model::repack() lays it out; empty without

  const std::byte* row(int64_t matrix, int64_t r) const {
    const int64_t row_bytes = format->row_bytes(cols);
    if (parts.empty()) return data.data() + (matrix * rows + r) * row_bytes;
    return parts[static_cast<size_t>(matrix)] + r * row_bytes;
  }
  int64_t bytes() const { return matrices * rows * format->row_bytes(cols); }
};

/// y = scale * (W x) + bias, or scale * (W x + bias). Nothing at all where weight is nullptr.
struct Linear {
  const Weight* weight = nullptr;
  std::vector<float> bias;   // [matrices, rows], or empty
  std::vector<float> scale;  // [1] or [matrices], or empty
  bool scales_bias = false;

  explicit operator bool() const { return weight != nullptr; }
};

/// How matrix products are computed.
enum class Compute {
  exact,  // f32 activations, weights decoded to f32, one fixed order: the same bits on every machine
  fast,   // activations rounded to 8 bits per block where the format's kernel wants it
};

}  // namespace snug::infer

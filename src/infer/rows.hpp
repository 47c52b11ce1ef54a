#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/aligned.hpp"
#include "snug/matrix.hpp"

namespace snug::infer {

/// Activations: one row of `width` f32 values per token.
class Activations {
 public:
  Activations() = default;
  /// All zero.
  Activations(int64_t count, int64_t width)
      : count_{count},
        width_{width},
        values_(static_cast<size_t>(count) * static_cast<size_t>(width), 0.0f) {}
  /// For someone who writes every value.
  static Activations unset(int64_t count, int64_t width) {
    Activations rows;
    rows.count_ = count;
    rows.width_ = width;
    rows.values_.resize(static_cast<size_t>(count) * static_cast<size_t>(width));
    return rows;
  }

  int64_t count() const { return count_; }
  int64_t width() const { return width_; }
  float* at(int64_t row) { return values_.data() + row * width_; }
  const float* at(int64_t row) const { return values_.data() + row * width_; }
  std::span<float> row(int64_t r) { return {at(r), static_cast<size_t>(width_)}; }
  std::span<const float> row(int64_t r) const { return {at(r), static_cast<size_t>(width_)}; }
  std::span<float> values() { return values_; }
  std::span<const float> values() const { return values_; }
  Matrix<const float> view() const { return {values_.data(), count_, width_}; }

 private:
  int64_t count_ = 0, width_ = 0;
  AlignedVector<float> values_;
};

}  // namespace snug::infer

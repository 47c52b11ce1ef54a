#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace snug {

/// A view of a dense row-major matrix.
template <class T>
struct Matrix {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;

  std::span<T> row(int64_t r) const { return {data + r * cols, static_cast<size_t>(cols)}; }
};

}  // namespace snug

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "snug/matrix.hpp"

namespace snug {

/// Some matrices [first, first + mats) of one input's second moments while they are summed.
struct MomentSums {
  std::string input;
  int64_t dim = 0, first = 0, mats = 1;
  std::vector<int64_t> counts{};  // [mats]
  std::vector<float> sums{};      // [mats, dim, dim]; the lower triangle is empty before mirror()

  void allocate();
  /// rows [tokens, dim] that reach matrix `mat`: its sums += rowsᵀ rows. Same bits on any number of threads
  /// and on every instruction set.
  void add(int64_t mat, Matrix<const float> rows);
  void mirror();
  void release() { sums = std::vector<float>{}; }  // its memory, too, which = {} would keep
  /// Whether the arrays are as long as they must be and every sum is finite: of sums out of a file.
  bool is_sound() const;
  int64_t bytes() const { return mats * dim * dim * static_cast<int64_t>(sizeof(float)); }
};

}  // namespace snug

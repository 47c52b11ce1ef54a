#pragma once

#include <algorithm>
#include <initializer_list>

#include "infer/rows.hpp"

namespace snug::infer {

/// Rows made of the parts' rows, one part after the other.
inline Rows side_by_side(std::initializer_list<const Rows*> parts) {
  int64_t width = 0;
  for (const Rows* part : parts) width += part->width();
  Rows all = Rows::unset((*parts.begin())->count(), width);
  for (int64_t t = 0; t < all.count(); ++t) {
    float* to = all.at(t);
    for (const Rows* part : parts) to = std::copy_n(part->at(t), part->width(), to);
  }
  return all;
}

}  // namespace snug::infer

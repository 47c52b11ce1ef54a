#pragma once

#include <algorithm>
#include <initializer_list>

#include "infer/rows.hpp"

namespace snug::infer {

/// Rows made of the parts' rows, one part after the other.
inline Activations side_by_side(std::initializer_list<const Activations*> parts) {
  int64_t width = 0;
  for (const Activations* part : parts) width += part->width();
  Activations all = Activations::unset((*parts.begin())->count(), width);
  for (int64_t t = 0; t < all.count(); ++t) {
    float* to = all.at(t);
    for (const Activations* part : parts) to = std::copy_n(part->at(t), part->width(), to);
  }
  return all;
}

/// Copies columns [from, from + width) of `part` to columns [to, ...) of `whole`.
inline void put(Activations& whole, int64_t to, const Activations& part, int64_t from, int64_t width) {
  for (int64_t t = 0; t < part.count(); ++t) std::copy_n(part.at(t) + from, width, whole.at(t) + to);
}

/// Adds `part` to columns [to, to + part.width()) of `whole`.
inline void add_to_columns(Activations& whole, int64_t to, const Activations& part) {
  for (int64_t t = 0; t < part.count(); ++t)
    for (int64_t k = 0; k < part.width(); ++k) whole.at(t)[to + k] += part.at(t)[k];
}

/// Adds columns [from, from + part.width()) of `whole` to `part`.
inline void add_columns(Activations& part, const Activations& whole, int64_t from) {
  for (int64_t t = 0; t < part.count(); ++t)
    for (int64_t k = 0; k < part.width(); ++k) part.at(t)[k] += whole.at(t)[from + k];
}

}  // namespace snug::infer

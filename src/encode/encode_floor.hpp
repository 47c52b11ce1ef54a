#pragma once

#include <span>
#include <vector>

#include "snug/format.hpp"

namespace snug {

/// The least error that any encoder can reach: every storable scale is tried with the nearest codes. Slow,
/// and simple enough to be believed; it tells how much a search leaves on the table.
///
/// Known for formats with one scale to some weights (BlockFields::lone_scale), and for q3_K.
class EncodeFloor {
 public:
  /// Weights that share a scale, and what their errors are weighed with.
  struct Block {
    std::span<const float> x, w;
  };

  explicit EncodeFloor(const Format& format);

  bool known() const { return kind_ != Kind::unknown; }

  /// sum w d^2 over one row, d = decoded - original, at its least; importance w is empty or as long as the
  /// row. `decoded` is what some encoder made of the row: no block can come out above it.
  double least_error(std::span<const float> row, std::span<const float> importance,
                     std::span<const float> decoded) const;

 private:
  enum class Kind { unknown, one_scale, q3_k };
  struct Scale {
    size_t first, end;  // of what the codes decode to, in values_
  };
  void read_scales(const Format& format);
  double one_scale(const Block& block, double known) const;

  Kind kind_ = Kind::unknown;
  size_t weights_ = 0;  // that share a scale, or a super-scale
  std::vector<Scale> scales_;
  std::vector<float> values_;  // of each scale, rising
};

}  // namespace snug

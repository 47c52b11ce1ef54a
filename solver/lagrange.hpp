#pragma once

#include <cstdint>
#include <vector>

#include "solver/problem.hpp"

namespace snug::solver {

/// Loss saved per unit of bytes. den == 0 is infinity.
struct Slope {
  int64_t num = 0, den = 1;
};
inline bool steeper(Slope a, Slope b) {
  return Wide{a.num} * b.den > Wide{b.num} * a.den;
}

/// An edge of a tensor's lower convex hull: from one item to one with more bytes and less loss.
struct Edge {
  uint32_t tensor = 0;
  uint32_t from = 0, to = 0;  // index within the tensor's items
  Slope slope;                // num = loss saved, den = units added; not reduced
};

/// The edges of all hulls, steepest first; of equals the lower tensor first. A tensor's own edges stay in
/// order.
std::vector<Edge> hull_edges(const Reduced& problem);

/// The problem with fractions of one edge allowed, solved exactly: best price, and the picks it leads to.
struct Relaxation {
  Slope price;                  // of one unit; 0 if everything fits
  std::vector<uint32_t> pick;   // item per tensor: least loss + price * bytes; fits the capacity
  std::vector<Slope> up;        // per tensor, of the hull edge that leaves the pick (0 if none): <= price
  std::vector<Slope> down;      // per tensor, of the hull edge that leads to it (infinite if none): >= price
  int64_t bytes = 0, loss = 0;  // of pick, as in Reduced

  /// price.den * (least loss of any pick within the capacity) is at least this.
  Wide scaled_bound(int64_t capacity) const {
    return Wide{price.den} * loss - Wide{price.num} * (capacity - bytes);
  }
};
Relaxation relax(const Reduced& problem, const std::vector<Edge>& edges);

/// Makes the picks fit more: first the edges left over, steepest first, then for each tensor the best item
/// that fits. No single tensor can then be improved within the capacity.
std::vector<uint32_t> fill(const Reduced& problem, const std::vector<Edge>& edges,
                           const Relaxation& relaxation);

}  // namespace snug::solver

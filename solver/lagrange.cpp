#include "solver/lagrange.hpp"

#include <algorithm>
#include <cmath>

namespace snug::solver {
namespace {

/// Sorts on doubles and falls back on the exact comparison where they are too close to tell.
struct Ranked {
  double slope = 0;
  Edge edge;
};

bool before(const Ranked& a, const Ranked& b) {
  if (std::abs(a.slope - b.slope) > 1e-14 * std::max(a.slope, b.slope)) return a.slope > b.slope;
  if (steeper(a.edge.slope, b.edge.slope)) return true;
  if (steeper(b.edge.slope, a.edge.slope)) return false;
  if (a.edge.tensor != b.edge.tensor) return a.edge.tensor < b.edge.tensor;
  return a.edge.from < b.edge.from;
}

Slope between(const Item& small, const Item& large) {
  return {small.loss - large.loss, large.bytes - small.bytes};
}

/// Appends the edges of one tensor's lower hull. Points on a straight edge are left out.
void append_hull(uint32_t tensor, std::span<const Item> items, std::vector<uint32_t>& corners,
                 std::vector<Ranked>& edges) {
  corners.clear();
  for (uint32_t i = 0; i < items.size(); ++i) {
    while (corners.size() >= 2) {
      const Item& a = items[corners[corners.size() - 2]];
      const Item& b = items[corners.back()];
      if (steeper(between(a, b), between(b, items[i]))) break;
      corners.pop_back();
    }
    corners.push_back(i);
  }
  for (size_t k = 1; k < corners.size(); ++k) {
    const Slope slope = between(items[corners[k - 1]], items[corners[k]]);
    edges.push_back({static_cast<double>(slope.num) / static_cast<double>(slope.den),
                     {tensor, corners[k - 1], corners[k], slope}});
  }
}

}  // namespace

std::vector<Edge> hull_edges(const Reduced& problem) {
  std::vector<Ranked> ranked;
  std::vector<uint32_t> corners;
  for (uint32_t t = 0; t < problem.tensors(); ++t) append_hull(t, problem.of(t), corners, ranked);
  std::ranges::sort(ranked, before);
  std::vector<Edge> edges;
  edges.reserve(ranked.size());
  for (const Ranked& r : ranked) edges.push_back(r.edge);
  return edges;
}

Relaxation relax(const Reduced& problem, const std::vector<Edge>& edges) {
  Relaxation r;
  const uint32_t tensors = problem.tensors();
  r.pick.assign(tensors, 0);
  r.up.assign(tensors, {0, 1});
  r.down.assign(tensors, {1, 0});
  for (uint32_t t = 0; t < tensors; ++t) r.loss += problem.of(t).front().loss;
  size_t k = 0;
  for (; k < edges.size() && edges[k].slope.den <= problem.capacity - r.bytes; ++k) {
    const Edge& e = edges[k];
    r.pick[e.tensor] = e.to;
    r.down[e.tensor] = e.slope;
    r.bytes += e.slope.den;
    r.loss -= e.slope.num;
  }
  if (k < edges.size()) r.price = edges[k].slope;
  for (size_t j = edges.size(); j-- > k;) r.up[edges[j].tensor] = edges[j].slope;  // the steepest is met last
  return r;
}

std::vector<uint32_t> fill(const Reduced& problem, const std::vector<Edge>& edges,
                           const Relaxation& relaxation) {
  std::vector<uint32_t> pick = relaxation.pick;
  int64_t room = problem.capacity - relaxation.bytes;
  for (const Edge& e : edges) {
    if (pick[e.tensor] != e.from || e.slope.den > room) continue;
    pick[e.tensor] = e.to;
    room -= e.slope.den;
  }
  for (uint32_t t = 0; t < problem.tensors(); ++t) {
    const auto items = problem.of(t);
    const int64_t bytes = items[pick[t]].bytes;
    while (pick[t] + 1 < items.size() && items[pick[t] + 1].bytes - bytes <= room) ++pick[t];
    room -= items[pick[t]].bytes - bytes;
  }
  return pick;
}

}  // namespace snug::solver

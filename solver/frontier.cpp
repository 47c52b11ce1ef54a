#include <algorithm>
#include <chrono>
#include <queue>

#include "snug/solve.hpp"
#include "solver/lagrange.hpp"

namespace snug {
namespace solver {
namespace {

struct Point {
  int64_t bytes = 0, loss = 0;
  uint32_t tensor = 0, item = 0;  // on the hull: the change that leads here from the hull point before
  std::vector<uint16_t> pick;     // between hull points: the choices; empty on the hull
};

/// The smallest pick, then one point per edge.
std::vector<Point> hull_points(const Reduced& problem) {
  Point at{problem.base_bytes, problem.base_loss, 0, 0, {}};
  for (uint32_t t = 0; t < problem.tensors(); ++t) at.loss += problem.of(t).front().loss;
  std::vector<Point> points{at};
  for (const Edge& e : hull_edges(problem)) {
    at = {at.bytes + e.slope.den * problem.unit, at.loss - e.slope.num, e.tensor, e.to, {}};
    points.push_back(at);
  }
  return points;
}

/// Budgets low...high (in units above base_bytes) of which no point is known yet but the one to their left.
struct Region {
  double drop;  // of the loss, relatively, to the point on its right
  int64_t low, high;
  int64_t left_loss, right_loss;
  bool operator<(const Region& other) const {
    return drop != other.drop ? drop < other.drop : low > other.low;
  }
};

class Between {
 public:
  Between(const Problem& problem, const Reduced& reduced, const FrontierOptions& options)
      : problem_(problem), reduced_(reduced), options_(options) {}

  /// Points between the hull's, found by solving for a budget in the middle of the widest region.
  std::vector<Point> find(const std::vector<Point>& hull) {
    for (size_t k = 1; k < hull.size(); ++k) {
      if (hull[k].bytes <= options_.from || hull[k - 1].bytes >= options_.to) continue;
      push(units(std::max(hull[k - 1].bytes + reduced_.unit, options_.from)),
           units(std::min(hull[k].bytes - reduced_.unit, options_.to)), hull[k - 1].loss, hull[k].loss);
    }
    const auto start = std::chrono::steady_clock::now();
    const auto allowed = std::chrono::duration<double>(options_.seconds);
    while (!regions_.empty() && static_cast<int64_t>(found_.size()) < options_.exact_points &&
           std::chrono::steady_clock::now() - start < allowed)
      split_widest();
    return std::move(found_);
  }

 private:
  int64_t units(int64_t bytes) const { return (bytes - reduced_.base_bytes) / reduced_.unit; }

  void push(int64_t low, int64_t high, int64_t left_loss, int64_t right_loss) {
    if (low > high) return;
    const double drop = static_cast<double>(left_loss - right_loss) / static_cast<double>(left_loss);
    regions_.push({drop, low, high, left_loss, right_loss});
  }

  void split_widest() {
    const Region r = regions_.top();
    regions_.pop();
    const int64_t middle = r.low + (r.high - r.low) / 2;
    problem_.budget_bytes = reduced_.base_bytes + middle * reduced_.unit;
    const Solution s = solve(problem_);
    if (s.stop != SolveStatus::optimal) return;
    if (s.loss == r.left_loss) return push(middle + 1, r.high, r.left_loss, r.right_loss);
    found_.push_back({s.bytes, s.loss, 0, 0, s.pick});
    push(r.low, units(s.bytes) - 1, r.left_loss, s.loss);
    push(middle + 1, r.high, s.loss, r.right_loss);
  }

  Problem problem_;
  const Reduced& reduced_;
  const FrontierOptions& options_;
  std::priority_queue<Region> regions_;
  std::vector<Point> found_;
};

/// Turns points into changes from one to the next.
class Writer {
 public:
  explicit Writer(const Reduced& problem) : problem_(problem), hull_pick_(problem.tensors()) {
    for (uint32_t t = 0; t < problem.tensors(); ++t) hull_pick_[t] = problem.of(t).front().choice;
  }

  void step_on_hull(const Point& p) {
    if (p.bytes == problem_.base_bytes) return;
    hull_pick_[p.tensor] = problem_.of(p.tensor)[p.item].choice;
    if (at_hull_) last_[p.tensor] = hull_pick_[p.tensor];
  }

  FrontierPoint write(const Point& p) {
    const bool on_hull = p.pick.empty();
    FrontierPoint out{p.bytes, p.loss, on_hull, {}};
    if (on_hull && at_hull_) {
      out.changes.push_back({p.tensor, hull_pick_[p.tensor]});  // step_on_hull has followed it
      return out;
    }
    const std::vector<uint16_t>& pick = on_hull ? hull_pick_ : p.pick;
    for (uint32_t t = 0; t < pick.size(); ++t)
      if (last_.empty() || last_[t] != pick[t]) out.changes.push_back({t, pick[t]});
    last_ = pick;
    at_hull_ = on_hull;
    return out;
  }

 private:
  const Reduced& problem_;
  std::vector<uint16_t> hull_pick_, last_;
  bool at_hull_ = false;  // last_ == hull_pick_
};

}  // namespace
}  // namespace solver

std::vector<FrontierPoint> frontier(const Problem& problem, const FrontierOptions& options) {
  using solver::Point;
  solver::check_limits(problem);
  const solver::Reduced reduced = solver::reduce(problem);
  std::vector<Point> points = solver::hull_points(reduced);
  std::vector<Point> between = solver::Between{problem, reduced, options}.find(points);
  points.insert(points.end(), std::make_move_iterator(between.begin()),
                std::make_move_iterator(between.end()));
  std::ranges::sort(points, {}, &Point::bytes);
  std::vector<FrontierPoint> out;
  solver::Writer writer{reduced};
  for (size_t k = 0; k < points.size() && points[k].bytes <= options.to; ++k) {
    if (points[k].pick.empty()) writer.step_on_hull(points[k]);
    const bool next_is_within_from = k + 1 < points.size() && points[k + 1].bytes <= options.from;
    if (!next_is_within_from) out.push_back(writer.write(points[k]));
  }
  return out;
}

}  // namespace snug

#include "plan/solver.hpp"

namespace snug {

Solution solve_anew(const Problem& problem, const Constraints& constraints, const SolveOptions& options) {
  const bool is_plain = constraints.side.empty() && constraints.formats.empty();
  return is_plain ? solve(problem, options) : solve_constrained(problem, constraints, options);
}

}  // namespace snug

#pragma once

#include <functional>

#include "snug/solve.hpp"

namespace snug {

/// How a planner has its problems solved: anew, or by somebody who remembers what he found.
using Solver = std::function<Solution(const Problem&, const Constraints&, const SolveOptions&)>;

/// solve() where there are no constraints, else solve_constrained().
Solution solve_anew(const Problem& problem, const Constraints& constraints, const SolveOptions& options);

}  // namespace snug

#pragma once

#include <optional>

#include "plan/solver.hpp"
#include "snug/state.hpp"

namespace snug {

/// What a search for the best formats found, kept in the state: where the clock ends a search, what it finds depends on
/// the moment, and a fit that was stopped has to come to the same recipe. The key is the whole problem, with its
/// constraints and the time it was given; so another budget, or a profile with other losses, has its own.
void keep_solution(Store& state, const Problem& problem, const Constraints& constraints, const SolveOptions& options,
                   const Solution& solution);

/// Nothing where the state has none, or one that is no solution of the problem. Bytes, loss and bound are worked out anew.
std::optional<Solution> kept_solution(const Store& state, const Problem& problem, const Constraints& constraints,
                                      const SolveOptions& options);

/// Takes what `state`, which outlives it, knows, and keeps there what it finds. `anew`: takes nothing.
Solver remembering_solver(Store& state, bool anew = false);

}  // namespace snug

#pragma once

#include <cstdint>
#include <vector>

#include "solver/ilp_glpk.hpp"
#include "solver/knapsack.hpp"
#include "solver/problem.hpp"

namespace snug::solver {

using Pick = std::vector<uint16_t>;

/// The problem with every limit on a sum in one list, the budget first, and the choices that are still open.
/// Refers to the problem and the constraints: they must outlive it.
struct Rows {
  const Problem& problem;
  const Constraints& constraints;
  std::vector<SideConstraint> sums;         // sums[0] is the budget
  std::vector<std::vector<uint16_t>> open;  // per tensor: choices worth looking at
};
Rows rows_of(const Problem& problem, const Constraints& constraints);
Rows rows_of(const Problem& problem, Constraints&& constraints) = delete;

bool satisfies(const Rows& rows, const Pick& pick);
int64_t loss_of(const Rows& rows, const Pick& pick);

/// One column per open choice, tensor by tensor, then one per format of each format limit.
Ilp ilp_of(const Rows& rows, double loss_scale);
Pick pick_of(const Rows& rows, const std::vector<double>& x);
std::vector<double> columns_of(const Rows& rows, const Pick& pick);

/// Prices of the sums, in whole numbers over one den.
struct Prices {
  int64_t den = 1;
  std::vector<int64_t> num;  // per sums
};
Prices prices_of(const Rows& rows, const IlpAnswer& relaxed, double loss_scale);

/// Closes every choice that no pick with less than `loss` can have, by its loss at these prices.
void close_choices(Rows& rows, const Prices& prices, int64_t loss);

/// A pick that satisfies all rows, or none: exact knapsacks with the costs at their prices added to the
/// losses, formats left out one by one and swapped.
Pick find_incumbent(const Rows& rows, const Prices& prices, Clock::time_point deadline);

/// One format limit and no cap, of at most 64 formats: searched by knapsacks alone, in whole numbers.
bool formats_alone(const Rows& rows);
struct FormatSearchResult {
  Pick pick;  // empty if none was found
  int64_t bound =
      0;  // no pick that keeps the limit has less loss; with an empty pick INT64_MAX if there is none
};
FormatSearchResult search_formats(const Rows& rows, const Pick& start, double gap,
                                  Clock::time_point deadline);

}  // namespace snug::solver

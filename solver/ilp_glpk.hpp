#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace snug::solver {

/// Minimise objective . x over x in {0, 1}^n subject to rows. Floating point: what comes back is GLPK's word.
struct Ilp {
  struct Row {
    std::vector<std::pair<int, double>> terms;  // column, coefficient
    double upper = 0;
    bool equal = false;  // terms . x == upper instead of <=
  };
  std::vector<double> objective;
  std::vector<Row> rows;
};

struct IlpAnswer {
  enum class Status { optimal, gap_reached, out_of_time, infeasible } status = Status::out_of_time;
  std::vector<double> x;  // empty if none was found
  double bound = 0;       // no x has less, says GLPK; with out_of_time it may be the relaxation's
  std::vector<double>
      price;  // per row, of the relaxation only: loss saved per unit of `upper`, >= 0 for <= rows
};

/// With 0 <= x <= 1 in place of whole numbers.
IlpAnswer solve_relaxed(const Ilp& ilp, double seconds);

/// Branch and cut. `start` is a feasible x to begin with, or empty.
IlpAnswer solve_ilp(const Ilp& ilp, double seconds, double gap, const std::vector<double>& start = {});

}  // namespace snug::solver

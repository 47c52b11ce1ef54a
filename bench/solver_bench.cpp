// bench_solver FOLDER: seconds to solve, and to check the certificate, for every case and budget in FOLDER;
// then a synthetic problem of 100,000 tensors. One thread.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>

#include "solver/cases.hpp"
#include "solver/random_problem.hpp"

namespace {

using snug::Problem;
using snug::Solution;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

const char* name_of(snug::SolveStatus stop) {
  constexpr const char* kNames[] = {"optimal", "gap_reached", "time_limit", "infeasible"};
  return kNames[static_cast<int>(stop)];
}

void report(const char* name, const Problem& problem, const snug::SolveOptions& options) {
  auto start = std::chrono::steady_clock::now();
  const Solution s = solve(problem, options);
  const double all = seconds_since(start);
  start = std::chrono::steady_clock::now();
  const int64_t proven = check_certificate(problem, s.certificate);
  const double check = seconds_since(start);
  const auto gap_above = [&](int64_t bound) {
    return static_cast<double>(s.loss - bound) / static_cast<double>(std::max<int64_t>(s.loss, 1));
  };
  std::printf(
      "%-18s %14lld B %-11s loss %16lld  price gap %8.2e  proven gap %8.2e  solve and check %6.4f s  check "
      "%6.4f s\n",
      name, static_cast<long long>(problem.budget_bytes), name_of(s.stop), static_cast<long long>(s.loss),
      gap_above(proven_bound(problem, s.proof)), gap_above(proven), all, check);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc > 1)
    for (auto& c : snug::test::read_solver_cases(argv[1]))
      for (const int64_t budget : c.budgets) {
        c.problem.budget_bytes = budget;
        report(c.name.c_str(), c.problem, {});
      }
  report("100k x 20, gap 1e-4", snug::test::synthetic_problem(100'000, 20, 1), {.gap = 1e-4});
  report("100k x 20, exact", snug::test::synthetic_problem(100'000, 20, 1), {});
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

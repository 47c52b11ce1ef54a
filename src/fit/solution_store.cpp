#include "fit/solution_store.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>

#include "base/digest.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr std::string_view kNote = "snug_solution\n";

void add_matrix(Hasher& hasher, const auto& rows) {
  hasher.add(static_cast<uint64_t>(rows.size()));
  for (const auto& row : rows) hasher.add_array(std::span{row});
}

Digest key_of(const Problem& problem, const Constraints& constraints, const SolveOptions& options) {
  Hasher hasher;
  hasher.add("solution").add(SNUG_VERSION).add(static_cast<uint64_t>(problem.budget_bytes));
  add_matrix(hasher, problem.tensors);
  for (const SideConstraint& side : constraints.side) {
    hasher.add(side.name).add(static_cast<uint64_t>(side.limit));
    add_matrix(hasher, side.cost);
  }
  for (const FormatLimit& limit : constraints.formats) {
    hasher.add(static_cast<uint64_t>(limit.at_most));
    add_matrix(hasher, limit.format);
  }
  hasher.add(str(options.seconds, " ", options.gap)).add(static_cast<uint64_t>(options.max_states));
  return hasher.finish();
}

std::string price_text(const Price& price) {
  return str(price.num, " ", price.den, "\n");
}

std::string text_of(const Solution& solution) {
  std::string text = str(kNote, static_cast<int>(solution.stop), " ", solution.claimed_bound, "\n", solution.pick.size());
  for (const uint16_t pick : solution.pick) text += str(" ", pick);
  text += str("\n", price_text(solution.proof), solution.side_proof.size(), "\n");
  for (const Price& price : solution.side_proof) text += price_text(price);
  return text + to_text(solution.certificate);
}

bool read_prices(std::istream& in, const Constraints& constraints, Solution& solution) {
  size_t sides = 0;
  if (!(in >> solution.proof.num >> solution.proof.den >> sides)) return false;
  if (sides != 0 && sides != constraints.side.size()) return false;
  solution.side_proof.resize(sides);
  for (Price& price : solution.side_proof) in >> price.num >> price.den;
  return !in.fail();
}

/// False where a pick is none of its tensor's choices.
bool read_picks(std::istream& in, const Problem& problem, Solution& solution) {
  size_t count = 0;
  if (!(in >> count) || count != problem.tensors.size()) return false;
  for (const auto& choices : problem.tensors) {
    uint16_t pick = 0;
    if (!(in >> pick) || pick >= choices.size()) return false;
    solution.pick.push_back(pick);
    solution.bytes += choices[pick].bytes;
    solution.loss += choices[pick].loss;
  }
  return solution.bytes <= problem.budget_bytes;
}

bool keeps(const SideConstraint& side, std::span<const uint16_t> pick) {
  int64_t sum = 0;
  for (size_t t = 0; t < pick.size(); ++t)
    if (!side.cost[t].empty()) sum += side.cost[t][pick[t]];
  return sum <= side.limit;
}

bool keeps(const FormatLimit& limit, std::span<const uint16_t> pick) {
  std::set<int> used;
  for (size_t t = 0; t < pick.size(); ++t)
    if (!limit.format[t].empty() && limit.format[t][pick[t]] >= 0) used.insert(limit.format[t][pick[t]]);
  return std::ssize(used) <= limit.at_most;
}

bool keeps_all(const Constraints& constraints, std::span<const uint16_t> pick) {
  const auto kept = [&](const auto& constraint) { return keeps(constraint, pick); };
  return std::ranges::all_of(constraints.side, kept) && std::ranges::all_of(constraints.formats, kept);
}

/// As solve() and solve_constrained() say it: the better of what two checks prove.
int64_t bound_of(const Problem& problem, const Constraints& constraints, const Solution& solution) {
  const int64_t bound = check_certificate(problem, solution.certificate);
  if (solution.side_proof.size() != constraints.side.size() || solution.side_proof.empty()) return bound;
  return std::max(bound, proven_bound(problem, constraints, solution.proof, solution.side_proof));
}

std::optional<Solution> parse(const std::string& text, const Problem& problem, const Constraints& constraints) {
  std::istringstream in{text.substr(kNote.size())};
  Solution solution;
  int stop = 0;
  if (!(in >> stop >> solution.claimed_bound) || stop < 0 || stop > static_cast<int>(SolveStatus::time_limit))
    return std::nullopt;
  solution.stop = static_cast<SolveStatus>(stop);
  if (!read_picks(in, problem, solution) || !read_prices(in, constraints, solution)) return std::nullopt;
  if (!keeps_all(constraints, solution.pick)) return std::nullopt;
  in >> std::ws;
  solution.certificate = parse_certificate({std::istreambuf_iterator<char>{in}, {}});
  solution.certified_bound = bound_of(problem, constraints, solution);
  const ReachableBytes range = reachable(problem);
  solution.smallest = range.smallest;
  solution.largest = range.largest;
  return solution;
}

}  // namespace

void keep_solution(Store& state, const Problem& problem, const Constraints& constraints, const SolveOptions& options,
                   const Solution& solution) {
  const std::string text = text_of(solution);
  state.put(RecordKind::note, key_of(problem, constraints, options), std::as_bytes(std::span{text}));
  state.sync();
}

std::optional<Solution> kept_solution(const Store& state, const Problem& problem, const Constraints& constraints,
                                      const SolveOptions& options) try {
  const auto payload = state.get(RecordKind::note, key_of(problem, constraints, options));
  if (!payload) return std::nullopt;
  const std::string text{reinterpret_cast<const char*>(payload->data()), payload->size()};
  return text.starts_with(kNote) ? parse(text, problem, constraints) : std::nullopt;
} catch (const Error& error) {
  if (error.fault() == Fault::io) throw;
  return std::nullopt;  // a certificate of another problem
}

Solver remembering_solver(Store& state, bool anew) {
  return [&state, anew](const Problem& problem, const Constraints& constraints, const SolveOptions& options) {
    if (auto kept = anew ? std::nullopt : kept_solution(state, problem, constraints, options)) return *std::move(kept);
    const Solution found = solve_anew(problem, constraints, options);
    if (!found.pick.empty()) keep_solution(state, problem, constraints, options, found);
    return found;
  };
}

}  // namespace snug

#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace snug {

/// What a tensor (or a group that shares a format) costs and suffers in one format.
struct Choice {
  int64_t bytes = 0;
  int64_t loss = 0;  // pico-nats per token
};

/// Choose one of tensors[t] for every t: least total loss within the budget.
///
/// Every tensor has 1 to 65535 choices, in any order; bytes and loss >= 0; the sum over tensors of the
/// largest bytes, and of the largest losses, stay within kSumLimit. Otherwise every function below throws
/// Error (says which tensor). Any budget is allowed.
struct Problem {
  std::vector<std::vector<Choice>> tensors;
  int64_t budget_bytes = 0;
};
inline constexpr int64_t kSumLimit = int64_t{1} << 62;

/// Sum over tensors of cost[t][pick[t]] <= limit. cost has a row per tensor, shaped like its choices or empty
/// (all zero). Costs >= 0; sums within kSumLimit.
struct SideConstraint {
  std::string name;
  std::vector<std::vector<int64_t>> cost;
  int64_t limit = 0;
};

/// The picked choices have at most `at_most` different formats. format[t][c] >= 0 is any number that names
/// the format of a choice; -1, or an empty row, is not counted.
struct FormatLimit {
  std::vector<std::vector<int>> format;
  int at_most = 0;
};

struct Constraints {
  std::vector<SideConstraint> side;
  std::vector<FormatLimit> formats;
};

/// Loss (pico-nats) that one byte, or one unit of a side constraint's cost, is worth: 0 <= num, 0 < den, both
/// <= 2^62.
struct Price {
  int64_t num = 0, den = 1;
};

/// Proof that no recipe within the budget has a loss below `loss`. See check_certificate.
struct Certificate {
  int64_t loss = 0;
  std::vector<Price> prices;  // at least one; the first alone is the Lagrangian proof
  std::vector<uint32_t>
      order;  // every tensor once, as the check enumerates them; empty: the prices prove it alone
};

enum class SolveStatus { optimal, gap_reached, time_limit, infeasible };

struct Solution {
  SolveStatus stop = SolveStatus::infeasible;
  std::vector<uint16_t>
      pick;  // pick[t] indexes tensors[t]; empty if infeasible, or if nothing was found in time
  int64_t bytes = 0, loss = 0;  // of the picks
  int64_t claimed_bound = 0;    // the search's word; == loss if stop is optimal
  int64_t certified_bound = 0;  // == check_certificate(problem, certificate)
  Certificate certificate;
  Price proof;  // best price of a byte: proven_bound(problem, proof) is the bound without search
  std::vector<Price> side_proof;      // solve_constrained only: one per side constraint, with proof's den
  int64_t smallest = 0, largest = 0;  // reachable(problem): what to name when the budget is infeasible

  /// (loss - certified_bound) / loss; 0 if both are 0.
  double gap() const {
    return loss > 0 ? static_cast<double>(loss - certified_bound) / static_cast<double>(loss) : 0;
  }
};

struct SolveOptions {
  double seconds = 10;  // stop searching after this long
  double gap = 0;       // stop once (loss - bound) / loss is no larger; 0 asks for the optimum
  int64_t max_states =
      16'000'000;  // search states kept at a time (8 bytes each, and 32 for the widest layer)
};

/// Solves the problem exactly: stop is optimal unless the time, the states or the wanted gap ended the
/// search, and then certified_bound says how far from the optimum the picks can be at most.
///
/// An infeasible budget is a value: SolveStatus::infeasible with smallest and largest set. One thread. The
/// same picks for the same input, unless time ended the search: the least loss, of those the fewest bytes, of
/// those a fixed rule's.
Solution solve(const Problem& problem, const SolveOptions& options = {});

/// The same with further rows, 16 side constraints at most. One format limit and no side constraint is
/// searched in whole numbers; anything else is GLPK's branch and cut on what Lagrangian prices leave open,
/// and then stop and claimed_bound are its word (floating point; infeasible included). Always exact: the
/// picks keep every row, and certified_bound is the better of check_certificate(problem, certificate), which
/// does not know the rows, and proven_bound(problem, constraints, proof, side_proof), which does not know
/// format limits.
Solution solve_constrained(const Problem& problem, const Constraints& constraints,
                           const SolveOptions& options = {});

/// A lower bound on the loss of every pick within the budget, from one price per byte. Any valid price gives
/// a true bound.
int64_t proven_bound(const Problem& problem, Price price);

/// The same with side constraints: one price each, all with the same den. Format limits are not needed for it
/// to hold.
int64_t proven_bound(const Problem& problem, const Constraints& constraints, Price price,
                     std::span<const Price> side);

/// A proven lower bound: certificate.loss if the certificate holds, less where it proves less.
/// Shares no code with the solver. Throws Error if the certificate's shape does not fit the problem.
int64_t check_certificate(const Problem& problem, const Certificate& certificate);

/// One line of text per field; parse_certificate throws Error that says what is wrong with the text.
std::string to_text(const Certificate& certificate);
Certificate parse_certificate(const std::string& text);

/// Fewest and most bytes any pick takes.
struct ReachableBytes {
  int64_t smallest = 0, largest = 0;
};
ReachableBytes reachable(const Problem& problem);

/// A change of one tensor's pick.
struct PickChange {
  uint32_t tensor = 0;
  uint16_t pick = 0;
};

/// Every pick that takes no more than `bytes` has at least `loss`, and these picks reach both.
struct FrontierPoint {
  int64_t bytes = 0, loss = 0;
  bool on_hull = false;         // on the lower convex hull: certified by a price alone
  std::vector<PickChange> changes;  // against the point before; the first point names every tensor
};

struct FrontierOptions {
  int64_t from = 0, to = std::numeric_limits<int64_t>::max();  // budgets of interest
  int64_t exact_points = 0;  // how many points between the hull's to add at most, widest gaps first
  double seconds = 60;       // stop adding after this long
};

/// Loss against size, bytes rising and loss falling: every point of the lower hull and, as far as the options
/// allow, those between. The budget of the problem is ignored.
std::vector<FrontierPoint> frontier(const Problem& problem, const FrontierOptions& options = {});

}  // namespace snug

#include "solver/problem.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace solver {
namespace {

constexpr size_t kMaxChoices = std::numeric_limits<uint16_t>::max();

[[noreturn]] void refuse(const std::string& problem, size_t tensor, const std::string& remedy) {
  throw Error{problem, str("tensor ", tensor, " of the solver's problem"), remedy};
}

/// Adds the row's largest number to the sum; refuses what is negative or passes the limit.
void add_largest(int64_t& sum, int64_t largest, int64_t smallest, const std::string& what, size_t tensor) {
  if (smallest < 0) refuse(str("negative ", what, ": ", smallest), tensor, str(what, " counts from 0 up"));
  if (largest > kSumLimit - sum)
    refuse(str("the sum of the largest ", what, " passes 2^62"), tensor, "use a coarser unit");
  sum += largest;
}

void check_side(const Problem& problem, const SideConstraint& side) {
  if (side.cost.size() != problem.tensors.size())
    throw Error{str("constraint '", side.name, "' has ", side.cost.size(), " rows for ",
                    problem.tensors.size(), " tensors"),
                "", "give one row per tensor; an empty row costs nothing"};
  int64_t sum = 0;
  for (size_t t = 0; t < side.cost.size(); ++t) {
    const auto& row = side.cost[t];
    if (row.empty()) continue;
    if (row.size() != problem.tensors[t].size())
      refuse(str("constraint '", side.name, "' has ", row.size(), " costs for ", problem.tensors[t].size(),
                 " choices"),
             t, "give one cost per choice, or an empty row");
    const auto [least, most] = std::ranges::minmax(row);
    add_largest(sum, most, least, str("cost in '", side.name, "'"), t);
  }
}

void check_format_limit(const Problem& problem, const FormatLimit& limit) {
  if (limit.format.size() != problem.tensors.size())
    throw Error{
        str("a format limit has ", limit.format.size(), " rows for ", problem.tensors.size(), " tensors"), "",
        "give one row per tensor; an empty row is not counted"};
  for (size_t t = 0; t < limit.format.size(); ++t) {
    if (!limit.format[t].empty() && std::ranges::min(limit.format[t]) < -1)
      refuse("a format below -1", t, "name formats from 0 up, or -1 for one that is not counted");
    if (!limit.format[t].empty() && limit.format[t].size() != problem.tensors[t].size())
      refuse(str("a format limit names ", limit.format[t].size(), " formats for ", problem.tensors[t].size(),
                 " choices"),
             t, "name one format per choice, or none");
  }
}

/// The choices that no other beats, bytes rising; of equals the first listed.
std::vector<Item> undominated(const std::vector<Choice>& choices) {
  std::vector<Item> items;
  items.reserve(choices.size());
  for (size_t c = 0; c < choices.size(); ++c)
    items.push_back({choices[c].bytes, choices[c].loss, static_cast<uint16_t>(c)});
  std::ranges::sort(items, {}, [](const Item& i) { return std::tuple{i.bytes, i.loss, i.choice}; });
  size_t kept = 0;
  for (const Item& item : items)
    if (kept == 0 || item.loss < items[kept - 1].loss) items[kept++] = item;
  items.resize(kept);
  return items;
}

}  // namespace

void check_limits(const Problem& problem) {
  int64_t bytes = 0, loss = 0;
  for (size_t t = 0; t < problem.tensors.size(); ++t) {
    const auto& choices = problem.tensors[t];
    if (choices.empty())
      refuse("no choice to pick from", t, "give every tensor at least one candidate format");
    if (choices.size() > kMaxChoices) refuse("more than 65535 choices", t, "give fewer candidates");
    const auto [small, large] = std::ranges::minmax(choices, {}, &Choice::bytes);
    add_largest(bytes, large.bytes, small.bytes, "bytes", t);
    const auto [least, most] = std::ranges::minmax(choices, {}, &Choice::loss);
    add_largest(loss, most.loss, least.loss, "loss", t);
  }
}

void check_limits(const Problem& problem, const Constraints& constraints) {
  check_limits(problem);
  if (constraints.side.size() > 16)
    throw Error{str(constraints.side.size(), " side constraints"), "", "16 can be handled"};
  for (const SideConstraint& side : constraints.side) check_side(problem, side);
  for (const FormatLimit& limit : constraints.formats) check_format_limit(problem, limit);
}

Reduced reduce(const Problem& problem) {
  Reduced r;
  r.first.push_back(0);
  int64_t unit = 0;
  for (const auto& choices : problem.tensors) {
    const std::vector<Item> items = undominated(choices);
    const int64_t bytes = items.front().bytes, loss = items.back().loss;
    for (const Item& i : items) r.items.push_back({i.bytes - bytes, i.loss - loss, i.choice});
    for (const Choice& c : choices) unit = std::gcd(unit, c.bytes - bytes);
    r.base_bytes += bytes;
    r.base_loss += loss;
    r.first.push_back(static_cast<uint32_t>(r.items.size()));
  }
  r.unit = std::max<int64_t>(unit, 1);
  for (Item& i : r.items) i.bytes /= r.unit;
  r.capacity = problem.budget_bytes < r.base_bytes ? -1 : (problem.budget_bytes - r.base_bytes) / r.unit;
  return r;
}

}  // namespace solver

ReachableBytes reachable(const Problem& problem) {
  solver::check_limits(problem);
  ReachableBytes range;
  for (const auto& choices : problem.tensors) {
    const auto [small, large] = std::ranges::minmax(choices, {}, &Choice::bytes);
    range.smallest += small.bytes;
    range.largest += large.bytes;
  }
  return range;
}

}  // namespace snug

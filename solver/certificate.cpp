// What has to be believed is in this file: it shares no code with the solver, only the structs of
// snug/solve.hpp.
#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <tuple>

#include "snug/error.hpp"
#include "snug/solve.hpp"

namespace snug {
namespace {

__extension__ using Wide = __int128;

constexpr size_t kMaxStates = size_t{1} << 22;

/// With sums up to 2^62 and prices up to 2^62, every product and sum below stays under 2^127.
void check_numbers(const Problem& problem) {
  Wide bytes = 0, loss = 0;
  for (const auto& choices : problem.tensors) {
    if (choices.empty()) throw Error{"a tensor without a choice", "", "give every tensor at least one"};
    for (const Choice& c : choices)
      if (c.bytes < 0 || c.loss < 0)
        throw Error{"a choice with negative bytes or loss", "", "both count from 0 up"};
    bytes += std::ranges::max(choices, {}, &Choice::bytes).bytes;
    loss += std::ranges::max(choices, {}, &Choice::loss).loss;
  }
  if (bytes > kSumLimit || loss > kSumLimit)
    throw Error{"bytes or losses sum to more than 2^62", "", "use a coarser unit"};
}

void check_price(Price price) {
  if (price.num < 0 || price.den < 1 || price.num > kSumLimit || price.den > kSumLimit)
    throw Error{"a price out of range", "", "0 <= num <= 2^62 and 1 <= den <= 2^62"};
}

/// 16 further prices up to 2^58 add less than 2^126.
void check_side(const Problem& problem, const Constraints& constraints, Price price,
                std::span<const Price> side) {
  bool fits = side.size() == constraints.side.size() && side.size() <= 16;
  for (const Price& p : side) fits = fits && p.num >= 0 && p.num <= kSumLimit / 16 && p.den == price.den;
  if (!fits)
    throw Error{"side prices do not fit", "", "one per side constraint, 16 at most, of the price's den"};
  for (const SideConstraint& s : constraints.side) {
    fits = s.cost.size() == problem.tensors.size();
    Wide sum = 0;
    for (size_t t = 0; fits && t < s.cost.size(); ++t) {
      fits = s.cost[t].empty() ||
             (s.cost[t].size() == problem.tensors[t].size() && std::ranges::min(s.cost[t]) >= 0);
      if (!s.cost[t].empty()) sum += std::ranges::max(s.cost[t]);
    }
    if (!fits || sum > kSumLimit)
      throw Error{"costs of '" + s.name + "' do not fit", "", "a cost >= 0 per choice"};
  }
}

void check_order(const Problem& problem, const Certificate& certificate) {
  std::vector<uint32_t> sorted = certificate.order;
  if (sorted.empty()) return;
  std::ranges::sort(sorted);
  for (size_t t = 0; t < sorted.size(); ++t)
    if (sorted[t] != t || sorted.size() != problem.tensors.size())
      throw Error{"the certificate's order does not name every tensor once", "",
                  "it belongs to another problem"};
}

/// Every pick takes as many bytes as the first choices together, give or take a multiple of the greatest
/// common divisor of all differences. This is the most such a number can be within the budget.
Wide usable_budget(const Problem& problem) {
  int64_t unit = 0;
  Wide first = 0;
  for (const auto& choices : problem.tensors) {
    first += choices[0].bytes;
    for (const Choice& c : choices) unit = std::gcd(unit, c.bytes - choices[0].bytes);
  }
  const Wide room = problem.budget_bytes - first;
  if (unit == 0) return room < 0 ? Wide{problem.budget_bytes} : first;
  const Wide over = room % unit;
  return problem.budget_bytes - (over < 0 ? over + unit : over);
}

Wide priced(Price price, Choice c) {
  return Wide{price.den} * c.loss + Wide{price.num} * c.bytes;
}

/// The whole loss that is at least sum / den. Losses are never negative.
int64_t whole_loss(Wide sum, int64_t den) {
  const Wide loss = sum <= 0 ? 0 : (sum + den - 1) / den;
  return static_cast<int64_t>(std::min<Wide>(loss, std::numeric_limits<int64_t>::max()));
}

Wide least_priced(const std::vector<Choice>& choices, Price price) {
  Wide least = priced(price, choices[0]);
  for (const Choice& c : choices) least = std::min(least, priced(price, c));
  return least;
}

int64_t bound_at(const Problem& problem, Price price, Wide budget) {
  Wide sum = -Wide{price.num} * budget;
  for (const auto& choices : problem.tensors) sum += least_priced(choices, price);
  return whole_loss(sum, price.den);
}

/// For one price: least[k] = the least den * loss + num * bytes that tensors order[k...] can have.
struct Remaining {
  Price price;
  std::vector<Wide> least;
};

Remaining remaining(const Problem& problem, const std::vector<uint32_t>& order, Price price) {
  Remaining r{price, std::vector<Wide>(order.size() + 1, 0)};
  for (size_t k = order.size(); k-- > 0;)
    r.least[k] = r.least[k + 1] + least_priced(problem.tensors[order[k]], price);
  return r;
}

}  // namespace

int64_t proven_bound(const Problem& problem, Price price) {
  check_numbers(problem);
  check_price(price);
  return bound_at(problem, price, usable_budget(problem));
}

int64_t proven_bound(const Problem& problem, const Constraints& constraints, Price price,
                     std::span<const Price> side) {
  check_numbers(problem);
  check_price(price);
  check_side(problem, constraints, price, side);
  Wide sum = -Wide{price.num} * usable_budget(problem);
  for (size_t s = 0; s < side.size(); ++s) sum -= Wide{side[s].num} * constraints.side[s].limit;
  for (size_t t = 0; t < problem.tensors.size(); ++t) {
    const auto& choices = problem.tensors[t];
    const auto with_costs = [&](size_t c) {
      Wide all = priced(price, choices[c]);
      for (size_t s = 0; s < side.size(); ++s)
        if (const auto& row = constraints.side[s].cost[t]; !row.empty()) all += Wide{side[s].num} * row[c];
      return all;
    };
    Wide least = with_costs(0);
    for (size_t c = 1; c < choices.size(); ++c) least = std::min(least, with_costs(c));
    sum += least;
  }
  return whole_loss(sum, price.den);
}

int64_t check_certificate(const Problem& problem, const Certificate& certificate) {
  check_numbers(problem);
  check_order(problem, certificate);
  std::ranges::for_each(certificate.prices, check_price);
  const Wide budget = usable_budget(problem);
  int64_t bound = 0;
  for (const Price price : certificate.prices) bound = std::max(bound, bound_at(problem, price, budget));
  if (certificate.order.empty() || bound >= certificate.loss) return bound;
  std::vector<Remaining> after;
  for (const Price price : certificate.prices) after.push_back(remaining(problem, certificate.order, price));

  // Can a partial pick of tensors order[0, k) still end within the budget and below the claimed loss?
  const auto may_beat = [&](Choice partial, size_t k) {
    return std::ranges::all_of(after, [&](const Remaining& r) {
      return priced(r.price, partial) + r.least[k] - Wide{r.price.num} * budget <=
             Wide{r.price.den} * (certificate.loss - 1);
    });
  };
  std::vector<Choice> partial{{0, 0}},
      next;  // every one that may, less those another equals or beats in both
  for (size_t k = 0; k < certificate.order.size(); ++k) {
    next.clear();
    for (const Choice& c : problem.tensors[certificate.order[k]]) {
      for (const Choice& p : partial)
        if (const Choice sum{p.bytes + c.bytes, p.loss + c.loss}; may_beat(sum, k + 1)) next.push_back(sum);
      if (next.size() > kMaxStates) return bound;
    }
    std::ranges::sort(next, {}, [](const Choice& c) { return std::tuple{c.bytes, c.loss}; });
    partial.clear();
    for (const Choice& c : next)
      if (partial.empty() || c.loss < partial.back().loss) partial.push_back(c);
  }
  int64_t least = certificate.loss;
  for (const Choice& c : partial)
    if (c.bytes <= problem.budget_bytes) least = std::min(least, c.loss);
  return std::max(bound, least);
}

}  // namespace snug

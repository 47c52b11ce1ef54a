#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "solver/constrained.hpp"

namespace snug::solver {
namespace {

constexpr uint16_t kCompared = 256;  // choices the others of their tensor are compared with

int64_t cost_of(const SideConstraint& sum, size_t t, size_t c) {
  return sum.cost[t].empty() ? 0 : sum.cost[t][c];
}

int format_of(const FormatLimit& limit, size_t t, size_t c) {
  return limit.format[t].empty() ? -1 : limit.format[t][c];
}

/// Is b no better than a in anything? Of equals the first beats the second.
bool beats(const Rows& rows, size_t t, uint16_t a, uint16_t b) {
  const auto& choices = rows.problem.tensors[t];
  if (choices[a].loss > choices[b].loss) return false;
  bool equal = choices[a].loss == choices[b].loss;
  for (const SideConstraint& sum : rows.sums) {
    if (cost_of(sum, t, a) > cost_of(sum, t, b)) return false;
    equal = equal && cost_of(sum, t, a) == cost_of(sum, t, b);
  }
  for (const FormatLimit& limit : rows.constraints.formats)
    if (const int f = format_of(limit, t, a); f >= 0 && f != format_of(limit, t, b)) return false;
  return !equal || a < b;
}

/// A sum in units of its greatest common divisor above the least it can be: whole numbers as small as they
/// get.
struct Shifted {
  std::vector<int64_t> least;  // per tensor, of its open choices
  int64_t unit = 0;
  double room = 0;
};

Shifted shifted(const Rows& rows, const SideConstraint& sum) {
  Shifted s;
  __extension__ __int128 room = sum.limit;
  for (size_t t = 0; t < rows.open.size(); ++t) {
    int64_t least = cost_of(sum, t, rows.open[t][0]);
    for (const uint16_t c : rows.open[t]) least = std::min(least, cost_of(sum, t, c));
    for (const uint16_t c : rows.open[t]) s.unit = std::gcd(s.unit, cost_of(sum, t, c) - least);
    s.least.push_back(least);
    room -= least;
  }
  s.unit = std::max<int64_t>(s.unit, 1);
  s.room = room < 0 ? -1 : static_cast<double>(room / s.unit);
  return s;
}

Ilp::Row sum_row(const Rows& rows, const SideConstraint& sum) {
  const Shifted s = shifted(rows, sum);
  Ilp::Row row{{}, s.room, false};
  int column = 0;
  for (size_t t = 0; t < rows.open.size(); ++t)
    for (const uint16_t c : rows.open[t]) {
      const int64_t units = (cost_of(sum, t, c) - s.least[t]) / s.unit;
      if (units > 0) row.terms.emplace_back(column, static_cast<double>(units));
      ++column;
    }
  return row;
}

std::set<int> formats_in(const Rows& rows, const FormatLimit& limit) {
  std::set<int> formats;
  for (size_t t = 0; t < rows.open.size(); ++t)
    for (const uint16_t c : rows.open[t])
      if (const int f = format_of(limit, t, c); f >= 0) formats.insert(f);
  return formats;
}

/// A column per format that says whether it is used; every choice of it needs that, tensor by tensor.
void add_format_limit(const Rows& rows, const FormatLimit& limit, Ilp& ilp) {
  Ilp::Row count{{}, static_cast<double>(limit.at_most), false};
  for (const int format : formats_in(rows, limit)) {
    const int used = static_cast<int>(ilp.objective.size());
    ilp.objective.push_back(0);
    count.terms.emplace_back(used, 1);
    int column = 0;
    for (size_t t = 0; t < rows.open.size(); ++t) {
      Ilp::Row needs{{}, 0, false};
      for (const uint16_t c : rows.open[t]) {
        if (format_of(limit, t, c) == format) needs.terms.emplace_back(column, 1);
        ++column;
      }
      if (needs.terms.empty()) continue;
      needs.terms.emplace_back(used, -1);
      ilp.rows.push_back(std::move(needs));
    }
  }
  ilp.rows.push_back(std::move(count));
}

}  // namespace

Rows rows_of(const Problem& problem, const Constraints& constraints) {
  Rows rows{problem, constraints, {}, {}};
  SideConstraint& budget = rows.sums.emplace_back(SideConstraint{"budget", {}, problem.budget_bytes});
  for (const auto& choices : problem.tensors) {
    auto& row = budget.cost.emplace_back();
    for (const Choice& c : choices) row.push_back(c.bytes);
  }
  rows.sums.insert(rows.sums.end(), constraints.side.begin(), constraints.side.end());
  for (size_t t = 0; t < problem.tensors.size(); ++t) {
    auto& open = rows.open.emplace_back();
    const auto choices = static_cast<uint16_t>(problem.tensors[t].size());
    for (uint16_t c = 0; c < choices; ++c) {
      bool beaten = false;
      for (uint16_t other = 0; other < std::min(choices, kCompared) && !beaten; ++other)
        beaten = other != c && beats(rows, t, other, c);
      if (!beaten) open.push_back(c);
    }
  }
  return rows;
}

bool satisfies(const Rows& rows, const Pick& pick) {
  for (const SideConstraint& sum : rows.sums) {
    int64_t total = 0;
    for (size_t t = 0; t < pick.size(); ++t) total += cost_of(sum, t, pick[t]);
    if (total > sum.limit) return false;
  }
  for (const FormatLimit& limit : rows.constraints.formats) {
    std::set<int> used;
    for (size_t t = 0; t < pick.size(); ++t) used.insert(format_of(limit, t, pick[t]));
    used.erase(-1);
    if (static_cast<int64_t>(used.size()) > limit.at_most) return false;
  }
  return true;
}

int64_t loss_of(const Rows& rows, const Pick& pick) {
  int64_t loss = 0;
  for (size_t t = 0; t < pick.size(); ++t) loss += rows.problem.tensors[t][pick[t]].loss;
  return loss;
}

Ilp ilp_of(const Rows& rows, double loss_scale) {
  Ilp ilp;
  for (size_t t = 0; t < rows.open.size(); ++t) {
    Ilp::Row one{{}, 1, true};
    for (const uint16_t c : rows.open[t]) {
      one.terms.emplace_back(static_cast<int>(ilp.objective.size()), 1);
      ilp.objective.push_back(static_cast<double>(rows.problem.tensors[t][c].loss) * loss_scale);
    }
    ilp.rows.push_back(std::move(one));
  }
  for (const SideConstraint& sum : rows.sums) ilp.rows.push_back(sum_row(rows, sum));
  for (const FormatLimit& limit : rows.constraints.formats) add_format_limit(rows, limit, ilp);
  return ilp;
}

Pick pick_of(const Rows& rows, const std::vector<double>& x) {
  Pick pick;
  size_t column = 0;
  for (const auto& open : rows.open) {
    const auto largest = std::max_element(x.begin() + column, x.begin() + column + open.size());
    pick.push_back(open[static_cast<size_t>(largest - x.begin()) - column]);
    column += open.size();
  }
  return pick;
}

std::vector<double> columns_of(const Rows& rows, const Pick& pick) {
  std::vector<double> x;
  for (size_t t = 0; t < pick.size(); ++t)
    for (const uint16_t c : rows.open[t]) x.push_back(c == pick[t] ? 1 : 0);
  for (const FormatLimit& limit : rows.constraints.formats)
    for (const int format : formats_in(rows, limit)) {
      bool used = false;
      for (size_t t = 0; t < pick.size(); ++t) used = used || format_of(limit, t, pick[t]) == format;
      x.push_back(used ? 1 : 0);
    }
  return x;
}

Prices prices_of(const Rows& rows, const IlpAnswer& relaxed, double loss_scale) {
  constexpr double kMost = 0x1p50;
  std::vector<double> price;
  for (size_t s = 0; s < rows.sums.size(); ++s) {
    const double per_row_unit = relaxed.price[rows.open.size() + s];
    price.push_back(
        std::max(0.0, per_row_unit / loss_scale / static_cast<double>(shifted(rows, rows.sums[s]).unit)));
  }
  Prices prices;
  const double largest = *std::ranges::max_element(price);
  double den = kMost;
  while (den > 1 && largest * den > kMost) den /= 2;
  prices.den = static_cast<int64_t>(den);
  for (const double p : price) prices.num.push_back(std::llround(std::min(p * den, kMost)));
  return prices;
}

void close_choices(Rows& rows, const Prices& prices, int64_t loss) {
  const auto priced = [&](size_t t, uint16_t c) {
    Wide all = Wide{prices.den} * rows.problem.tensors[t][c].loss;
    for (size_t s = 0; s < rows.sums.size(); ++s) all += Wide{prices.num[s]} * cost_of(rows.sums[s], t, c);
    return all;
  };
  std::vector<Wide> least;
  Wide room = Wide{prices.den} * loss;
  for (size_t s = 0; s < rows.sums.size(); ++s) room += Wide{prices.num[s]} * rows.sums[s].limit;
  for (size_t t = 0; t < rows.open.size(); ++t) {
    least.push_back(priced(t, rows.open[t][0]));
    for (const uint16_t c : rows.open[t]) least[t] = std::min(least[t], priced(t, c));
    room -= least[t];
  }
  for (size_t t = 0; t < rows.open.size(); ++t)
    std::erase_if(rows.open[t], [&](uint16_t c) { return priced(t, c) - least[t] > room; });
}

}  // namespace snug::solver

#include "solver/knapsack.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace snug::solver {
namespace {

double as_double(Slope s) {
  return static_cast<double>(s.num) / static_cast<double>(s.den);
}

/// How far the price would have to move, relatively, before the tensor's pick changes.
double distance(const Relaxation& relaxed, uint32_t t) {
  const double price = as_double(relaxed.price);
  return std::min(1 - as_double(relaxed.up[t]) / price, 1 - price / as_double(relaxed.down[t]));
}

std::vector<uint32_t> least_decided_first(const Relaxation& relaxed) {
  std::vector<double> key(relaxed.pick.size());
  for (uint32_t t = 0; t < key.size(); ++t) key[t] = distance(relaxed, t);
  std::vector<uint32_t> order(key.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, {}, [&](uint32_t t) { return key[t]; });
  return order;
}

}  // namespace

Clock::time_point deadline_in(double seconds) {
  const double most = 1e7;  // keeps the clock's arithmetic from overflowing
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(
                            std::chrono::duration<double>(seconds > 0 ? std::min(seconds, most) : 0.0));
}

CoreSearch::CoreSearch(const Reduced& problem, const Relaxation& relaxation, int64_t max_states,
                       Clock::time_point deadline)
    : problem_(problem),
      relaxed_(relaxation),
      max_states_(std::min<int64_t>(max_states, UINT32_MAX)),
      deadline_(deadline),
      order_(least_decided_first(relaxation)),
      best_up_(order_.size() + 1, Slope{0, 1}),
      best_down_(order_.size() + 1, Slope{1, 0}) {
  for (size_t k = order_.size(); k-- > 0;) {
    const Slope up = relaxation.up[order_[k]], down = relaxation.down[order_[k]];
    best_up_[k] = steeper(up, best_up_[k + 1]) ? up : best_up_[k + 1];
    best_down_[k] = steeper(best_down_[k + 1], down) ? down : best_down_[k + 1];
  }
}

/// Could tensors order_[next...] still bring the state to an excess <= 0 and a loss <= limit_?
bool CoreSearch::within_limit(const State& s, size_t next) const {
  const Slope slope = s.excess > 0 ? best_down_[next] : best_up_[next];
  return Wide{slope.den} * (s.loss - limit_) + Wide{slope.num} * s.excess <= 0;
}

/// Items whose loss at the relaxed price alone does not pass the limit.
void CoreSearch::surviving_items(uint32_t tensor) {
  const auto items = problem_.of(tensor);
  const Item& picked = items[relaxed_.pick[tensor]];
  const Wide room = Wide{relaxed_.price.den} * limit_ - relaxed_.scaled_bound(problem_.capacity);
  survivors_.clear();
  for (uint32_t i = 0; i < items.size(); ++i) {
    const Wide extra = Wide{relaxed_.price.den} * (items[i].loss - picked.loss) +
                       Wide{relaxed_.price.num} * (items[i].bytes - picked.bytes);
    if (extra <= room) survivors_.push_back(i);
  }
}

/// All states with `item` in place of the tensor's relaxed pick, less those beyond the limit.
void CoreSearch::shift(uint32_t tensor, uint32_t item, size_t next) {
  const auto items = problem_.of(tensor);
  const int64_t bytes = items[item].bytes - items[relaxed_.pick[tensor]].bytes;
  const int64_t loss = items[item].loss - items[relaxed_.pick[tensor]].loss;
  shifted_.clear();
  for (uint32_t s = 0; s < states_.size(); ++s) {
    const State child{states_[s].excess + bytes, states_[s].loss + loss, s, item};
    if (!within_limit(child, next)) continue;
    if (child.excess <= 0 && child.loss < met_.loss) met_ = {child.loss, tensor, {s, item}, layers_.size()};
    shifted_.push_back(child);
  }
  limit_ = std::min(limit_, met_.loss);
}

/// merged_ and shifted_ into merged_: bytes rise, loss falls; of equals the first come stays.
void CoreSearch::merge_shifted() {
  scratch_.clear();
  auto a = merged_.begin(), b = shifted_.begin();
  const auto less = [](const State& x, const State& y) {
    return x.excess != y.excess ? x.excess < y.excess : x.loss < y.loss;
  };
  while (a != merged_.end() || b != shifted_.end()) {
    const bool take_b = a == merged_.end() || (b != shifted_.end() && less(*b, *a));
    const State& next = take_b ? *b++ : *a++;
    if (scratch_.empty() || next.loss < scratch_.back().loss) scratch_.push_back(next);
  }
  merged_.swap(scratch_);
}

void CoreSearch::thin() {
  if (width_ == 0 || merged_.size() <= width_) return;
  for (size_t k = 0; k < width_; ++k) merged_[k] = merged_[k * (merged_.size() - 1) / (width_ - 1)];
  merged_.resize(width_);
}

/// Outcome::found means: go on.
CoreSearch::Outcome CoreSearch::expand(size_t position) {
  const uint32_t tensor = order_[position];
  surviving_items(tensor);
  if (survivors_.size() == 1 && survivors_[0] == relaxed_.pick[tensor]) return Outcome::found;
  merged_.clear();
  for (const uint32_t item : survivors_) {
    if (Clock::now() > deadline_) return Outcome::out_of_time;
    shift(tensor, item, position + 1);
    merge_shifted();
    if (static_cast<int64_t>(merged_.size()) > max_states_ - kept_) return Outcome::out_of_states;
  }
  thin();
  states_.swap(merged_);
  kept_ += static_cast<int64_t>(states_.size());
  Layer& layer = layers_.emplace_back(Layer{tensor, {}});
  layer.steps.reserve(states_.size());
  for (const State& s : states_) layer.steps.push_back({s.parent, s.item});
  return states_.empty() ? Outcome::none : Outcome::found;
}

/// Picks of the state and its ancestors, the relaxed pick for every other tensor.
void CoreSearch::trace(size_t layers, uint32_t state) {
  pick_ = relaxed_.pick;
  for (size_t k = layers; k-- > 0;) {
    const Step step = layers_[k].steps[state];
    pick_[layers_[k].tensor] = step.item;
    state = step.parent;
  }
}

/// The last state that fits has the least loss, in its fewest bytes.
bool CoreSearch::read_off_final(int64_t limit) {
  const auto end = std::ranges::partition_point(states_, [](const State& s) { return s.excess <= 0; });
  if (end == states_.begin() || std::prev(end)->loss > limit) return false;
  trace(layers_.size(), static_cast<uint32_t>(std::prev(end) - states_.begin()));
  return true;
}

void CoreSearch::read_off_met() {
  if (met_.loss == std::numeric_limits<int64_t>::max()) return;
  trace(met_.layers, met_.step.parent);
  pick_[met_.tensor] = met_.step.item;
}

bool CoreSearch::meets_bound() const {
  return met_.loss <= limit_ &&
         Wide{relaxed_.price.den} * met_.loss == relaxed_.scaled_bound(problem_.capacity);
}

CoreSearch::Outcome CoreSearch::run(int64_t limit) {
  limit_ = std::min(limit, relaxed_.loss);
  kept_ = 0;
  layers_.clear();
  pick_.clear();
  met_ = {std::numeric_limits<int64_t>::max(), 0, {}, 0};
  states_.assign(1, State{relaxed_.bytes - problem_.capacity, relaxed_.loss, 0, 0});
  auto outcome = Outcome::found;
  for (size_t k = 0; k < order_.size() && outcome == Outcome::found && !meets_bound(); ++k)
    outcome = expand(k);
  const bool searched_all = outcome == Outcome::found && !meets_bound() && width_ == 0;
  if (searched_all) return read_off_final(limit) ? outcome : Outcome::none;
  read_off_met();
  return outcome;
}

bool CoreSearch::run_thinned(int64_t limit) {
  const auto layers = static_cast<int64_t>(order_.size());
  width_ = static_cast<size_t>(std::clamp<int64_t>(max_states_ / (2 * layers + 1), 2, 4096));
  run(limit);
  width_ = 0;
  return !pick_.empty();
}

}  // namespace snug::solver

#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "solver/lagrange.hpp"

namespace snug::solver {

using Clock = std::chrono::steady_clock;
Clock::time_point deadline_in(double seconds);

/// Exact search around the relaxed picks: dynamic programming over an expanding core (Pisinger, "A minimal
/// algorithm for the multiple-choice knapsack problem", EJOR 83, 1995), one layer per tensor, the undecided
/// ones first.
///
/// A state is the excess over the capacity, and the loss, if the tensors yet to come keep their relaxed
/// picks. It is dropped where another has neither more bytes nor more loss, or where even fractions of the
/// edges yet to come cannot bring it under the limit.
class CoreSearch {
 public:
  CoreSearch(const Reduced& problem, const Relaxation& relaxation, int64_t max_states,
             Clock::time_point deadline);

  enum class Outcome { found, none, out_of_states, out_of_time };

  /// Looks for the pick of least loss, and of those of fewest bytes, whose loss is at most `limit`. Ends at
  /// once where a pick meets the relaxation's bound: every such pick fills the capacity.
  Outcome run(int64_t limit);

  /// The same with few enough states per layer, evenly spread: proves nothing, but finds good picks where
  /// run() runs out of states. True if pick() holds one with at most `limit`.
  bool run_thinned(int64_t limit);

  /// What run() found, an item per tensor; where it was cut short, the best pick it met, or nothing.
  const std::vector<uint32_t>& pick() const { return pick_; }

  /// For a certificate: the order tensors are decided in, and per position the slopes that bound what comes
  /// after it.
  const std::vector<uint32_t>& order() const { return order_; }
  const std::vector<Slope>& best_up() const { return best_up_; }
  const std::vector<Slope>& best_down() const { return best_down_; }

 private:
  struct State {
    int64_t excess, loss;
    uint32_t parent;
    uint32_t item;
  };
  struct Step {
    uint32_t parent, item;
  };
  struct Layer {
    uint32_t tensor;
    std::vector<Step> steps;
  };
  struct Met {  // the best complete pick so far: a step on top of the layers there were
    int64_t loss;
    uint32_t tensor;
    Step step;
    size_t layers;
  };

  bool within_limit(const State& state, size_t next) const;
  void surviving_items(uint32_t tensor);
  void shift(uint32_t tensor, uint32_t item, size_t next);
  void merge_shifted();
  Outcome expand(size_t position);
  void thin();
  bool meets_bound() const;
  bool read_off_final(int64_t limit);
  void read_off_met();
  void trace(size_t layers, uint32_t state);

  const Reduced& problem_;
  const Relaxation& relaxed_;
  const int64_t max_states_;
  const Clock::time_point deadline_;
  std::vector<uint32_t> order_;
  std::vector<Slope> best_up_, best_down_;  // [tensors + 1], of order_[position...]

  int64_t limit_ = 0;
  int64_t kept_ = 0;  // steps in all layers
  size_t width_ = 0;  // states kept per layer; 0 keeps all
  std::vector<State> states_, merged_, shifted_, scratch_;
  std::vector<uint32_t> survivors_;
  std::vector<Layer> layers_;
  Met met_{};
  std::vector<uint32_t> pick_;
};

}  // namespace snug::solver

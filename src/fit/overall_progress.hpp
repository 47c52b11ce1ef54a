#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "snug/events.hpp"

namespace snug {

/// How far all stages of a piece of work are together, by what each is expected to take and what it took so far. One
/// thread at a time.
class OverallProgress {
 public:
  struct Stage {
    std::string name;    // as progress calls it, up to a comma
    double seconds = 0;  // expected; 0 where all is known
  };
  explicit OverallProgress(std::vector<Stage> stages) : stages_{std::move(stages)}, taken_(stages_.size()) {}

  /// Seconds that are left, as things stand: of the stage that tells of itself by its own speed, of those behind it by
  /// what was expected.
  double left(const StageProgress& now);
  /// Share of all that is done, 0 to 1, `since` seconds after the start.
  static double share(double since, double left) { return since + left > 0 ? since / (since + left) : 1; }

 private:
  std::vector<Stage> stages_;
  std::vector<double> taken_;  // by each, in runs that have ended
};

/// A stage's name, without the round or the way: "probing, round 2" is probing.
std::string_view stage_name(const StageProgress& progress);

}  // namespace snug

#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/read_counter.hpp"
#include "fit/overall_progress.hpp"
#include "snug/events.hpp"
#include "snug/fit.hpp"
#include "snug/state.hpp"

namespace snug {

/// What a stage took: the work done in it, not what was known already, in its units.
struct StageTime {
  double seconds = 0;
  int64_t done = 0;
};

/// Stages by name, as progress calls them; rounds of one stage ("probing, round 2") together.
using StageTimes = std::map<std::string, StageTime, std::less<>>;

/// Passes everything on, and remembers how long stages took and what they read of the model. Beside what a stage says of
/// itself it says how far the whole is, once it knows what to expect.
class StageClock final : public Events, public ReadCounter {
 public:
  explicit StageClock(Events& receiver) : receiver_(receiver) {}

  void log(std::string_view line) override { receiver_.log(line); }
  void progress(const StageProgress& progress) override;
  bool cancelled() const override { return receiver_.cancelled(); }
  void count_read(std::string_view stage, int64_t bytes) override;

  void expect(OverallProgress all);
  StageTimes times() const;
  std::vector<StageRead> reads() const;  // in the order of the work

 private:
  std::string with_overall(const StageProgress& progress);

  Events& receiver_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  mutable std::mutex mutex_;
  StageTimes times_;
  std::vector<StageRead> reads_;
  std::optional<OverallProgress> all_;
};

/// Adds to what `state` remembers of the speed of this machine.
void keep_times(Store& state, const StageTimes& times);
StageTimes kept_times(const Store& state);

}  // namespace snug

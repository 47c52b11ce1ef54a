#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/read_counter.hpp"
#include "snug/events.hpp"
#include "snug/state.hpp"

namespace snug {

/// What a stage took: the work done in it, not what was known already, in its units.
struct StageTime {
  double seconds = 0;
  int64_t done = 0;
};

/// Stages by name, as progress calls them; rounds of one stage ("probing, round 2") together.
using StageTimes = std::map<std::string, StageTime, std::less<>>;

/// Whether the stage ends because an error, or a person, ends the work: what it says last is how far it came.
bool is_cut(const StageProgress& progress);

/// A stage without its round or way: "probing, round 2" is probing.
std::string_view stage_name(std::string_view stage);

/// Passes everything on, and remembers how long stages took and what they read of the model.
class StageClock final : public Events, public ReadCounter {
 public:
  explicit StageClock(Events& receiver) : receiver_(receiver) {}

  void log(std::string_view line) override { receiver_.log(line); }
  void progress(const StageProgress& progress) override;
  bool cancelled() const override { return receiver_.cancelled(); }
  void count_read(std::string_view stage, int64_t bytes) override;

  StageTimes times() const;
  StageTimes finished() const;             // without stages that an error or a person stopped
  std::vector<StageRead> reads() const;  // in the order of the work

 private:
  Events& receiver_;
  mutable std::mutex mutex_;
  StageTimes times_;
  std::set<std::string, std::less<>> cut_;
  std::vector<StageRead> reads_;
};

/// Adds to what `state` remembers of the speed of this machine.
void keep_times(Store& state, const StageTimes& times);
StageTimes kept_times(const Store& state);

}  // namespace snug

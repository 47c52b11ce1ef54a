#include "fit/progress/stage_clock.hpp"

#include <algorithm>
#include <exception>
#include <sstream>

#include "base/digest.hpp"
#include "base/str.hpp"

namespace snug {
namespace {

constexpr std::string_view kMagic = "snug stage times";

Digest key() {
  return Hasher{}.add(kMagic).finish();
}

}  // namespace

std::string_view stage_name(std::string_view stage) {
  return stage.substr(0, stage.find(','));
}

bool is_cut(const StageProgress& progress) {
  return progress.ended && progress.done < progress.total && std::uncaught_exceptions() > 0;
}

void StageClock::progress(const StageProgress& progress) {
  receiver_.progress(progress);
  if (!progress.ended) return;
  const std::lock_guard lock{mutex_};
  if (is_cut(progress)) cut_.emplace(stage_name(progress.stage));
  if (progress.done <= progress.known) return;
  StageTime& time = times_[std::string{stage_name(progress.stage)}];
  time.seconds += progress.seconds;
  time.done += progress.done - progress.known;
}

void StageClock::count_read(std::string_view stage, int64_t bytes) {
  const std::lock_guard lock{mutex_};
  const auto known = std::ranges::find(reads_, stage, &StageRead::stage);
  if (known != reads_.end())
    known->bytes += bytes;
  else
    reads_.push_back({std::string{stage}, bytes});
}

std::vector<StageRead> StageClock::reads() const {
  const std::lock_guard lock{mutex_};
  return reads_;
}

StageTimes StageClock::times() const {
  const std::lock_guard lock{mutex_};
  return times_;
}

StageTimes StageClock::finished() const {
  const std::lock_guard lock{mutex_};
  StageTimes finished = times_;
  for (const std::string& stage : cut_) finished.erase(stage);
  return finished;
}

StageTimes kept_times(const Store& state) {
  StageTimes times;
  const auto note = state.get(RecordKind::note, key());
  if (!note) return times;
  std::istringstream text{std::string(reinterpret_cast<const char*>(note->data()), note->size())};
  std::string line;
  std::getline(text, line);
  StageTime time;
  while (text >> time.seconds >> time.done && std::getline(text >> std::ws, line))
    if (time.seconds > 0 && time.done > 0) times[line] = time;
  return times;
}

void keep_times(Store& state, const StageTimes& times) {
  StageTimes all = kept_times(state);
  for (const auto& [stage, time] : times) all[stage] = time;  // the last run tells of the machine as it is now
  std::string text = str(kMagic, "\n");
  for (const auto& [stage, time] : all) text += str(time.seconds, " ", time.done, " ", stage, "\n");
  state.put(RecordKind::note, key(), std::as_bytes(std::span{text}));
  state.sync();
}

}  // namespace snug

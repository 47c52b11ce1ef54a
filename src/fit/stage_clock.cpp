#include "fit/stage_clock.hpp"

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

void StageClock::progress(const StageProgress& progress) {
  receiver_.progress(progress);
  if (!progress.ended || progress.done <= progress.known) return;
  const std::lock_guard lock{mutex_};
  StageTime& time = times_[std::string{progress.stage.substr(0, progress.stage.find(','))}];
  time.seconds += progress.seconds;
  time.done += progress.done - progress.known;
}

StageTimes StageClock::times() const {
  const std::lock_guard lock{mutex_};
  return times_;
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

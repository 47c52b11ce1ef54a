#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include "base/events.hpp"

namespace snug {

/// Reports one long stage to the events of the thread that made it. Threads may share it. Units of work are
/// whatever the caller counts.
class Progress {
 public:
  using Unit = StageProgress::Unit;

  Progress(std::string stage, int64_t total, Unit unit);
  ~Progress();  // the stage's last word
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(int64_t amount, const std::string& what = {});  // `what` is under way now, e.g. a tensor's name
  void advance_known(int64_t amount);  // work that was done before this run

 private:
  void report(bool ended);

  Events& events_;
  std::string stage_, what_;
  int64_t total_, done_ = 0, known_ = 0;
  Unit unit_;
  std::chrono::steady_clock::time_point start_;
  std::mutex mutex_;
};

}  // namespace snug

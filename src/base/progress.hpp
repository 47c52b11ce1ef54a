#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace snug {

enum class Talk { quiet, normal };

/// Whether progress and notices are shown at all (--quiet), for the whole process. They go to stderr.
void set_talk(Talk talk);

/// One line on stderr, above a progress bar if one is shown.
void notice(const std::string& line);

/// Progress of one long stage: a bar with rate and time left on a terminal, a plain line every few seconds otherwise.
/// Threads may share it. Units of work are whatever the caller counts (bytes are shown as MB/s).
class Progress {
 public:
  enum class Unit { items, bytes, weights };

  Progress(std::string stage, int64_t total, Unit unit);
  ~Progress();  // closes the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(int64_t amount, const std::string& what = {});  // `what` is under way now, e.g. a tensor's name

 private:
  void show(bool last);
  std::string line() const;

  std::string stage_, what_;
  int64_t total_, done_ = 0;
  Unit unit_;
  std::chrono::steady_clock::time_point start_, shown_;
  std::mutex mutex_;
};

}  // namespace snug

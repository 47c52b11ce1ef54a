#pragma once

#include <chrono>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "fit/progress/forecast.hpp"
#include "fit/progress/job_status.hpp"
#include "snug/events.hpp"

namespace snug {

/// Passes everything on, and says of every stage how far all of the work is: by what was expected of each stage, and how
/// much faster or slower it has gone so far. Once a second it puts that beside the state (JobStatus). Threads may share
/// it; a disk that cannot take the status is no reason to stop.
class JobProgress final : public Events {
 public:
  JobProgress(Events& receiver, const Forecast& forecast, std::filesystem::path state, JobStatus about);
  /// Of work that nobody has made a forecast for: how far each stage is, not all of it. `place` as of job_place().
  JobProgress(Events& receiver, std::filesystem::path place, JobStatus about);
  ~JobProgress();  // stopped, unless finish() or stop() has been called
  JobProgress(const JobProgress&) = delete;
  JobProgress& operator=(const JobProgress&) = delete;

  void log(std::string_view line) override { receiver_.log(line); }
  void progress(const StageProgress& progress) override;
  bool cancelled() const override { return receiver_.cancelled(); }

  /// Size number `size`, from 1, begins, with this output: all of those before are done.
  void begin_size(int64_t size, const std::string& output);
  void finish();
  void stop(const std::string& error);

 private:
  struct Part {
    std::string name;
    double expected = 0;  // seconds, of all the times it is gone through
    double once = 0;      // of one time
    bool of_each_size = false;
    double done = 0, ran = 0;  // of expected: behind us, and of that what was really run
  };
  Part* find(std::string_view stage);
  void skip_before(const Part& part);
  void advance(Part& part, const StageProgress& progress);
  void keep(bool now);
  void end(JobStatus::Phase phase, const std::string& error);
  double seconds_left() const;

  Events& receiver_;
  std::filesystem::path file_;  // the state's, or the place of a job without one
  std::mutex mutex_;
  JobStatus status_;
  std::vector<Part> parts_;
  double expected_ = 0, running_ = 0;  // running: of expected, what the stage under way has really run
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), kept_{};
};

}  // namespace snug

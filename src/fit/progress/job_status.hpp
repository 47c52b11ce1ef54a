#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace snug {

/// How far a fit or other long work is, for whoever asks from another terminal, and for the day after.
struct JobStatus {
  enum class Phase { running, finished, stopped };

  Phase phase = Phase::running;
  std::string command = "fit";
  int64_t process = 0;             // its id
  uint64_t process_start = 0;      // in ticks since the machine was started: tells it from a later one of the same id
  std::string host;                // the machine it runs on
  int64_t started = 0, updated = 0;  // seconds since 1970
  std::string model, output;       // as they were named
  std::string folder;              // that they were named in
  std::string stage;               // "judging"; empty before the first
  double stage_share = 0;          // of the stage that is done, 0 to 1
  double overall = 0;              // of all of it; negative where nobody knows
  double seconds_left = -1;        // negative where nobody knows
  int64_t size = 1, sizes = 1;     // of several sizes, the one under way
  std::string error;               // what stopped it

  bool operator==(const JobStatus&) const = default;
};

/// One of this process, now, with nothing done.
JobStatus own_status();

/// Lines of a word and a value. parse_job_status() throws Error where it is none.
std::string to_text(const JobStatus& status);
JobStatus parse_job_status(const std::string& text, const std::string& where);

/// Where the status of the fit that works on a state lies: <state>.status. Of other work, see job_place().
std::filesystem::path status_file(const std::filesystem::path& state);

/// Puts it there, in a folder that is made for it, whole or not at all; a disk that cannot take it is no reason to stop.
void keep_status(const std::filesystem::path& state, const JobStatus& status) noexcept;

/// What was last said there; nothing where no fit has worked on that state.
std::optional<JobStatus> read_status(const std::filesystem::path& state);

/// What became of the process, as far as this machine can tell: one that is said to be running and was killed is not.
/// Of a process on another machine only that machine knows.
enum class Process { runs, is_gone, is_elsewhere };
Process process_of(const JobStatus& status);

}  // namespace snug

#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "snug/events.hpp"

namespace snug::cli {

/// Shows what the library says on stderr: a bar with rate and time left that fits the terminal's width, and
/// plain lines with the time of day every few seconds where there is no terminal. Ctrl-C (SIGINT), SIGTERM
/// and SIGHUP (a terminal that was closed; not under nohup) cancel; a second one ends the process at once.
class TerminalEvents final : public Events {
 public:
  void set_quiet(bool quiet) { quiet_ = quiet; }

  void log(std::string_view line) override;
  void progress(const StageProgress& progress) override;
  bool cancelled() const override;

 private:
  void show(const StageProgress& progress);

  bool quiet_ = false;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point shown_;
};

/// The one of this process, and the signals that cancel it.
TerminalEvents& terminal_events();
void install_signal_handlers();

/// Makes a pipe that nobody reads any more (SIGPIPE) and a limit on file sizes (SIGXFSZ) failures to write,
/// like a full disk, instead of the end of the process. install_signal_handlers() does so, too.
void report_failed_writes();

}  // namespace snug::cli

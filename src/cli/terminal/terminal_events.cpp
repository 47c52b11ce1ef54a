#include "cli/terminal/terminal_events.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/time_of_day.hpp"
#include "base/units.hpp"
#include "cli/terminal/terminal_width.hpp"
#include "cli/text/wrap.hpp"

namespace snug::cli {
namespace {

using Clock = std::chrono::steady_clock;
using Unit = StageProgress::Unit;

constexpr size_t kEcho = 2;  // columns that are left for the terminal's "^C", which else would leave the line behind

std::atomic<bool> cancel{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int signal) {
  if (cancel.exchange(true)) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

bool on_terminal() {
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  return terminal;
}

/// Cut to so many bytes, never within a character.
std::string cut(std::string text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  text.resize(bytes);
  return text;
}

std::string rate_text(double per_second, Unit unit) {
  std::array<char, 64> text{};
  switch (unit) {
    case Unit::bytes:
      std::snprintf(text.data(), text.size(), "%.1f MB/s", per_second / 1e6);
      break;
    case Unit::weights:
      std::snprintf(text.data(), text.size(), "%.2f M weights/s", per_second / 1e6);
      break;
    case Unit::items:
      std::snprintf(text.data(), text.size(), "%.1f/s", per_second);
      break;
  }
  return text.data();
}

double rate_of(const StageProgress& p) {
  return p.seconds > 0 ? static_cast<double>(p.done - p.known) / p.seconds : 0;
}

std::string bar(double share, size_t width) {
  std::string bar(static_cast<size_t>(share * static_cast<double>(width)), '=');
  bar.resize(width, ' ');
  return str(" [", bar, "] ");
}

std::string percent(double share) {
  return str(static_cast<int>(share * 100), "%");
}

std::string running_line(const StageProgress& p) {
  const double share = std::min(1.0, static_cast<double>(p.done) / static_cast<double>(p.total));
  const double rate = rate_of(p), left = rate > 0 ? static_cast<double>(p.total - p.done) / rate : 0;
  const std::string stage = str(p.stage, on_terminal() ? bar(share, p.overall < 0 ? 24 : 10) : " ", percent(share), "  ");
  const std::string what = str(p.what.empty() ? "" : "  ", terminal_text(p.what));
  if (p.overall < 0) return str(stage, rate_text(rate, p.unit), "  ", show_duration(std::max(0.0, left)), " left", what);
  return str(percent(p.overall), " of all, ", show_duration(std::max(0.0, p.overall_seconds_left)), " left: ", stage,
             rate_text(rate, p.unit), what);
}

std::string last_line(const StageProgress& p) {
  if (p.known == p.done && p.done >= p.total) return str(p.stage, ": known");
  return str(p.stage, p.done >= p.total ? " done in " : " stopped in ", show_duration(p.seconds), ", ",
             rate_text(rate_of(p), p.unit));
}

/// "12:03:59 " where lines are kept in a file, so that one sees later when what was done.
std::string time_stamp() {
  if (on_terminal()) return {};
  return local_time(now_in_seconds(), "%H:%M:%S ");
}

void put(const std::string& line, const char* end) {
  std::fprintf(stderr, "%s%s%s", on_terminal() ? "\r\033[K" : "", line.c_str(), end);
  std::fflush(stderr);
}

}  // namespace

void TerminalEvents::log(std::string_view line) {
  if (quiet_) return;
  const std::lock_guard lock{mutex_};
  put(folded(terminal_text(line), terminal_columns(STDERR_FILENO), 2), "");
}

void TerminalEvents::progress(const StageProgress& progress) {
  if (quiet_) return;
  const std::lock_guard lock{mutex_};
  const std::chrono::duration<double> since = Clock::now() - shown_;
  if (progress.ended) {
    if (progress.done > 0) put(time_stamp() + last_line(progress), "\n");
  } else if (progress.seconds >= (on_terminal() ? 0.1 : 5.0) && since.count() >= (on_terminal() ? 0.1 : 5.0)) {
    shown_ = Clock::now();
    show(progress);
  }
}

void TerminalEvents::show(const StageProgress& progress) {
  if (on_terminal())
    put(cut(running_line(progress), std::max<size_t>(terminal_columns(STDERR_FILENO), kEcho + 2) - 1 - kEcho), "");
  else
    put(time_stamp() + running_line(progress), "\n");
}

bool TerminalEvents::cancelled() const {
  return cancel.load(std::memory_order_relaxed);
}

TerminalEvents& terminal_events() {
  static TerminalEvents events;
  return events;
}

void install_signal_handlers() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
  report_failed_writes();
}

void report_failed_writes() {
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace snug::cli

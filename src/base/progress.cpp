#include "base/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "base/str.hpp"
#include "base/units.hpp"
#include "base/without_controls.hpp"

namespace snug {
namespace {

using Clock = std::chrono::steady_clock;

Talk talk = Talk::normal;
std::mutex output;

bool on_terminal() {
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  return terminal;
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string rate_text(double per_second, Progress::Unit unit) {
  std::array<char, 64> text{};
  switch (unit) {
    case Progress::Unit::bytes: std::snprintf(text.data(), text.size(), "%.1f MB/s", per_second / 1e6); break;
    case Progress::Unit::weights: std::snprintf(text.data(), text.size(), "%.2f M weights/s", per_second / 1e6); break;
    case Progress::Unit::items: std::snprintf(text.data(), text.size(), "%.1f/s", per_second); break;
  }
  return text.data();
}

}  // namespace

void set_talk(Talk value) { talk = value; }

void notice(const std::string& line) {
  if (talk == Talk::quiet) return;
  const std::lock_guard lock{output};
  std::fprintf(stderr, "%s%s\n", on_terminal() ? "\r\033[K" : "", without_controls(line).c_str());
}

Progress::Progress(std::string stage, int64_t total, Unit unit)
    : stage_(std::move(stage)), total_(std::max<int64_t>(total, 1)), unit_(unit), start_(Clock::now()), shown_(start_) {}

Progress::~Progress() { show(true); }

void Progress::advance(int64_t amount, const std::string& what) {
  const std::lock_guard lock{mutex_};
  done_ += amount;
  if (!what.empty()) what_ = without_controls(what);
  if (seconds_since(shown_) >= (on_terminal() ? 0.1 : 5.0)) {
    shown_ = Clock::now();
    show(false);
  }
}

std::string Progress::line() const {
  const double spent = seconds_since(start_);
  const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  constexpr int kWidth = 24;
  std::string bar(static_cast<size_t>(share * kWidth), '=');
  bar.resize(kWidth, ' ');
  const double rate = spent > 0 ? static_cast<double>(done_) / spent : 0;
  const double left = rate > 0 ? static_cast<double>(total_ - done_) / rate : 0;
  return str(stage_, on_terminal() ? str(" [", bar, "] ") : " ", static_cast<int>(share * 100), "%  ",
             rate_text(rate, unit_), "  ", show_duration(std::max(0.0, left)), " left", what_.empty() ? "" : "  ", what_);
}

void Progress::show(bool last) {
  if (talk == Talk::quiet) return;
  const double spent = seconds_since(start_);
  const std::lock_guard lock{output};
  if (!last) {
    std::fprintf(stderr, on_terminal() ? "\r\033[K%.200s" : "%.200s\n", line().c_str());
    std::fflush(stderr);
    return;
  }
  if (done_ == 0) return;
  const std::string rate = rate_text(spent > 0 ? static_cast<double>(done_) / spent : 0, unit_);
  std::fprintf(stderr, "%s%s %s in %s, %s\n", on_terminal() ? "\r\033[K" : "", stage_.c_str(),
               done_ >= total_ ? "done" : "stopped", show_duration(spent).c_str(), rate.c_str());
}

}  // namespace snug

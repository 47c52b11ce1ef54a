#pragma once

#include <algorithm>
#include <chrono>
#include <functional>

namespace snug {

/// Says when it is time to save again: every so often, and seldom enough where saving itself takes long.
class SaveClock {
 public:
  explicit SaveClock(double seconds) : least_(seconds), wait_(seconds) {}
  bool due() const { return seconds_since(last_) >= wait_; }
  void run(const std::function<void()>& save) {
    const auto start = Clock::now();
    save();
    wait_ = std::max(least_, seconds_since(start) / kSavingShare);
    last_ = Clock::now();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kSavingShare = 0.05;  // of the time, at most, goes into saving
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  double least_, wait_;
  Clock::time_point last_ = Clock::now();
};

}  // namespace snug

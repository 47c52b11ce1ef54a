#include "base/progress.hpp"

#include <algorithm>
#include <utility>

namespace snug {

Progress::Progress(std::string stage, int64_t total, Unit unit)
    : events_(events()), stage_(std::move(stage)), total_(std::max<int64_t>(total, 1)), unit_(unit),
      start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  report(true);
}

void Progress::advance(int64_t amount, const std::string& what) {
  const std::lock_guard lock{mutex_};
  done_ += amount;
  if (!what.empty()) what_ = what;
  report(false);
}

void Progress::advance_known(int64_t amount) {
  const std::lock_guard lock{mutex_};
  done_ += amount;
  known_ += amount;
  report(false);
}

void Progress::report(bool ended) {
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
  events_.progress({stage_, unit_, total_, done_, known_, spent.count(), what_, ended});
}

}  // namespace snug

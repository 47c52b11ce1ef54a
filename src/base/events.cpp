#include "base/events.hpp"

#include <utility>

#include "snug/error.hpp"

namespace snug {
namespace {

thread_local Events* current = nullptr;

}  // namespace

Events& events() noexcept {
  static Events nobody;
  return current ? *current : nobody;
}

EventScope::EventScope(Events& events) noexcept : before_{std::exchange(current, &events)} {}

EventScope::~EventScope() {
  current = before_;
}

void log_line(const std::string& line) {
  events().log(line);
}

bool cancelled() {
  return events().cancelled();
}

void check_cancelled() {
  if (cancelled())
    throw Error{"interrupted", "", "finished work is saved; run the same command again to go on", Fault::interrupted};
}

}  // namespace snug

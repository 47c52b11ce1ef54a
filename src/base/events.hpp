#pragma once

#include <string>

#include "snug/events.hpp"

namespace snug {

/// Whom the work of this thread reports to: the innermost EventScope's, inside a parallel loop that of the
/// loop's caller; nobody where there is none.
Events& events() noexcept;

/// From here to the end of the scope, work of this thread and of loops it shares out reports to `events`.
class EventScope {
 public:
  explicit EventScope(Events& events) noexcept;
  ~EventScope();
  EventScope(const EventScope&) = delete;
  EventScope& operator=(const EventScope&) = delete;

 private:
  Events* before_;
};

/// events().log()
void log_line(const std::string& line);

/// Whether the work is to stop; long loops call check_cancelled() between units of work, which throws Error of
/// Fault::interrupted then.
bool cancelled();
void check_cancelled();

}  // namespace snug

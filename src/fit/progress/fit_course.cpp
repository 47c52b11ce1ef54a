#include "fit/progress/fit_course.hpp"

#include <filesystem>
#include <sstream>

#include "base/str.hpp"

namespace snug {
namespace {

JobStatus status_of(const FitRequest& request) {
  JobStatus status = own_status();
  status.model = request.model.string();
  status.output = request.sizes.front().output.string();
  status.sizes = std::ssize(request.sizes);
  return status;
}

void log_lines(const std::string& text) {
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) log_line(line);
}

}  // namespace

FitCourse::FitCourse(Events& receiver, const FitRequest& request, const Forecast& expected)
    : request_(request), job_(receiver, expected, request.state, status_of(request)) {
  log_lines(to_text(expected));
}

void FitCourse::begin_size(size_t size) {
  const std::string output = request_.sizes[size].output.string();
  job_.begin_size(static_cast<int64_t>(size) + 1, output);
  if (request_.sizes.size() > 1) log_line(str("size ", size + 1, " of ", request_.sizes.size(), ": ", output));
}

void FitCourse::finish(Store& state) {
  keep_times(state, clock_.times());
  job_.finish();
}

/// A state that cannot take the times is no reason to say so.
void FitCourse::stop(const Error& error) noexcept try {
  job_.stop(error.problem());
  if (!std::filesystem::exists(request_.state) || clock_.finished().empty()) return;
  Events nobody;  // who stopped the work would stop this, too
  const EventScope scope{nobody};
  Store state = Store::open(request_.state, Access::write);
  keep_times(state, clock_.finished());
} catch (...) {
}

}  // namespace snug

#include "cli/terminal/typed_lines.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/events.hpp"

namespace snug::cli {
namespace {

constexpr int kLookEvery = 100;  // milliseconds between two looks at Ctrl-C

}  // namespace

bool TypedLines::next(std::string& line) {
  for (;;) {
    if (cancelled()) return false;
    if (const size_t end = waiting_.find('\n'); end != waiting_.npos) {
      line = waiting_.substr(0, end);
      waiting_.erase(0, end + 1);
      return true;
    }
    if (ended_) {
      line = std::exchange(waiting_, {});
      return !line.empty();
    }
    read_more();
  }
}

void TypedLines::read_more() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (poll(&input, 1, kLookEvery) <= 0) return;
  std::array<char, 4096> bytes;
  const ssize_t got = read(STDIN_FILENO, bytes.data(), bytes.size());
  if (got > 0) waiting_.append(bytes.data(), static_cast<size_t>(got));
  ended_ = got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
}

}  // namespace snug::cli

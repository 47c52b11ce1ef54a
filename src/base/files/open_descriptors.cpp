#include "base/files/open_descriptors.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr size_t kSpare = 8;  // for the state, folders that are synced and the like

}  // namespace

void open_standard_descriptors() {
  for (int wanted = STDIN_FILENO; wanted <= STDERR_FILENO; ++wanted) {
    if (fcntl(wanted, F_GETFD) >= 0) continue;
    // The lowest free number is taken. Read-only, output is refused instead of lost without a word.
    if (open("/dev/null", O_RDONLY) != wanted) _exit(127);
  }
}

void allow_many_files() {
  struct rlimit limit {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void check_open_files(size_t files) {
  struct rlimit limit {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  size_t open_now = 0;
  std::error_code failed;
  for (std::filesystem::directory_iterator at{"/proc/self/fd", failed}, end; !failed && at != end;
       at.increment(failed))
    ++open_now;
  if (open_now + files + kSpare <= limit.rlim_cur) return;
  throw Error{str("the output is a split of ", files, " files, and ", limit.rlim_cur, " may be open at once"),
              "", "write larger files, or allow more of them (ulimit -n)", Fault::io};
}

}  // namespace snug

#include "base/isolated.hpp"

#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "base/events.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kText = 'T', kError = 'E', kMemory = 'M';  // how an answer begins
constexpr char kSeparator = '\0';                         // between the parts of an Error

/// Memory that is this process's own, in bytes.
int64_t private_memory() {
  long long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*d %*d %*d %*d %*d %lld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * sysconf(_SC_PAGESIZE);
}

void set_limit(decltype(RLIMIT_CPU) what, int64_t value) {
  rlimit limit{};
  if (getrlimit(what, &limit) != 0) return;
  limit.rlim_cur = std::min(limit.rlim_max, static_cast<rlim_t>(value));
  setrlimit(what, &limit);
}

void send_all(int pipe, const std::string& answer) {
  for (size_t done = 0; done < answer.size();) {
    const ssize_t n = write(pipe, answer.data() + done, answer.size() - done);
    if (n < 0 && errno != EINTR) return;
    done += n > 0 ? static_cast<size_t>(n) : 0;
  }
}

std::string answer_of(const std::function<std::string()>& work) {
  try {
    return kText + work();
  } catch (const Error& error) {
    return kError + error.problem() + kSeparator + error.where() + kSeparator + error.remedy();
  } catch (const std::bad_alloc&) {
    return {kMemory};
  } catch (const std::exception& error) {
    return kError + std::string{error.what()} + kSeparator + kSeparator;
  }
}

[[noreturn]] void run_child(int pipe, const std::function<std::string()>& work,
                            const IsolationLimits& limits) {
  std::signal(SIGINT, SIG_IGN);  // the parent ends this process
  std::signal(SIGSEGV, SIG_DFL);
  std::signal(SIGBUS, SIG_DFL);
  set_limit(RLIMIT_CORE, 0);
  set_limit(RLIMIT_CPU, limits.seconds + 1);
  set_limit(RLIMIT_DATA, private_memory() + limits.memory_bytes);
  send_all(pipe, answer_of(work));
  _exit(0);
}

/// A child process and the pipe it answers through; ended and reaped however this is left.
class Child {
 public:
  Child(const std::function<std::string()>& work, const IsolationLimits& limits) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) throw io_error("open a pipe", "");
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      run_child(ends[1], work, limits);
    }
    close(ends[1]);
    pipe_ = ends[0];
    if (pid_ < 0) {
      close(pipe_);
      throw io_error("start a process", "");
    }
  }
  ~Child() {
    close(pipe_);
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Reads what has come within 50 ms; false at the end.
  bool read_some(std::string& answer) const {
    pollfd ready{pipe_, POLLIN, 0};
    if (poll(&ready, 1, 50) <= 0) return true;
    std::array<char, 65536> buffer;
    const ssize_t n = read(pipe_, buffer.data(), buffer.size());
    if (n > 0) answer.append(buffer.data(), static_cast<size_t>(n));
    return n > 0 || (n < 0 && errno == EINTR);
  }

 private:
  pid_t pid_ = -1;
  int pipe_ = -1;
};

[[noreturn]] void rethrow(const std::string& answer) {
  const size_t first = answer.find(kSeparator), second = answer.find(kSeparator, first + 1);
  throw Error{answer.substr(1, first - 1), answer.substr(first + 1, second - first - 1),
              answer.substr(second + 1)};
}

}  // namespace

std::string run_isolated(const std::string& what, const std::function<std::string()>& work,
                         const IsolationLimits& limits) {
  const Child child{work, limits};
  const auto end = Clock::now() + std::chrono::seconds{limits.seconds};
  std::string answer;
  while (child.read_some(answer)) {
    check_cancelled();
    if (Clock::now() > end) throw Error{str(what, " takes more than ", limits.seconds, " s"), "", "use another in its place"};
    if (static_cast<int64_t>(answer.size()) > limits.result_bytes)
      throw Error{str(what, " writes without end"), "", "use another in its place"};
  }
  if (answer.empty()) throw Error{str(what, " runs away: it nests or calls itself too deeply"), "", "use another in its place"};
  if (answer[0] == kMemory)
    throw Error{str(what, " takes more than ", limits.memory_bytes >> 20, " MiB of memory"), "", "use another in its place"};
  if (answer[0] == kError) rethrow(answer);
  return answer.substr(1);
}

}  // namespace snug

#include "base/interrupt.hpp"

#include <atomic>
#include <csignal>

#include "snug/error.hpp"

namespace snug {
namespace {

std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int signal) {
  if (flag.exchange(true)) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

void install_interrupt_handler() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
  report_failed_writes();
}

void report_failed_writes() {
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() noexcept { return flag.load(std::memory_order_relaxed); }

void check_interrupt() {
  if (interrupted())
    throw Error{"interrupted", "", "finished work is saved; run the same command again to go on", Fault::interrupted};
}

}  // namespace snug

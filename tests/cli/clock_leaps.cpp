// Preloaded, has a thousand seconds go by with every look at the clock that only goes on: whatever has a time limit is at
// its end at once, as on a machine that is busy beyond measure.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

extern "C" int clock_gettime(clockid_t clock, timespec* now) {
  static std::atomic<time_t> looks{0};
  const long failed = syscall(SYS_clock_gettime, clock, now);
  if (failed == 0 && clock == CLOCK_MONOTONIC) now->tv_sec += 1000 * ++looks;
  return static_cast<int>(failed);
}

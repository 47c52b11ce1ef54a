#include "base/parallel.hpp"

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>

#include <algorithm>
#include <memory>

#if defined(__SANITIZE_THREAD__)
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>
#endif

namespace snug {
namespace {

std::unique_ptr<tbb::global_control> limit;
int limited_to = 0;

#if defined(__SANITIZE_THREAD__)

// The thread sanitizer does not see how TBB's library hands work over, and reports all of it. Threads of our own, made
// for each outermost loop, take its place in such builds: what our loops share is the same. Nothing orders ranges among
// each other, so that a race between two of them shows.
thread_local bool in_loop = false;

void for_each_range(int64_t ranges, const std::function<void(int64_t)>& body) {
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    const bool before = std::exchange(in_loop, true);
    try {
      for (int64_t r; (r = next.fetch_add(1, std::memory_order_relaxed)) < ranges;) body(r);
    } catch (...) {
      next.store(ranges, std::memory_order_relaxed);
      const std::lock_guard lock{mutex};
      if (!error) error = std::current_exception();
    }
    in_loop = before;
  };
  std::vector<std::thread> others;
  if (!in_loop)
    for (int64_t t = 1; t < std::min<int64_t>(threads(), ranges); ++t) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
  if (error) std::rethrow_exception(error);
}

#else

void for_each_range(int64_t ranges, const std::function<void(int64_t)>& body) {
  tbb::parallel_for(
      tbb::blocked_range<int64_t>(0, ranges, 1),
      [&](const tbb::blocked_range<int64_t>& part) {
        for (int64_t r = part.begin(); r < part.end(); ++r) body(r);
      },
      tbb::simple_partitioner{});
}

#endif

}  // namespace

void set_threads(int threads) {
  limited_to = threads > 0 ? threads : 0;
  limit.reset();
  if (limited_to)
    limit = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                  static_cast<size_t>(limited_to));
}

int threads() { return limited_to ? limited_to : tbb::info::default_concurrency(); }

void parallel_for(int64_t count, const std::function<void(int64_t)>& body, int64_t grain) {
  parallel_ranges(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

void parallel_ranges(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  const int64_t ranges = (count + grain - 1) / grain;
  if (ranges == 1) return body(0, count);
  for_each_range(ranges, [&](int64_t r) { body(r * grain, std::min(count, (r + 1) * grain)); });
}

}  // namespace snug

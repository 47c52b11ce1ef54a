#include "base/parallel.hpp"

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/events.hpp"

namespace snug {
namespace {

/// Stays at the end of the program: TBB would start the threads that were held back, and where there is no memory for them
/// its exception would turn an error that was told into an abort.
std::unique_ptr<tbb::global_control>& limit = *new std::unique_ptr<tbb::global_control>;
int limited_to = 0;

/// What this thread is doing.
enum class Inside { nothing, loop, team_loop };
thread_local Inside inside = Inside::nothing;

/// In a loop that was shared out: it reports to whom the loop's caller reports.
class As {
 public:
  As(Inside what, Events& events) : before_{std::exchange(inside, what)}, scope_{events} {}
  ~As() { inside = before_; }
  As(const As&) = delete;
  As& operator=(const As&) = delete;

 private:
  Inside before_;
  EventScope scope_;
};

/// Waiting for what comes within microseconds; whoever waits longer lets others have the core.
class Wait {
 public:
  void more() {
    if (++rounds_ < kAwake) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
    } else {
      std::this_thread::yield();
    }
  }

 private:
  static constexpr int kAwake = 4000;  // some 100 microseconds
  int rounds_ = 0;
};

/// A parallel loop whose ranges are taken in order by whoever is free.
class Loop {
 public:
  Loop(int64_t ranges, const std::function<void(int64_t)>& body) : ranges_{ranges}, body_{body} {}

  void work() {
    const As in_loop{Inside::team_loop, events_};
    try {
      for (int64_t r; (r = next_.fetch_add(1, std::memory_order_relaxed)) < ranges_;) body_(r);
    } catch (...) {
      next_.store(ranges_, std::memory_order_relaxed);
      const std::lock_guard lock{mutex_};
      if (!error_) error_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  const int64_t ranges_;
  const std::function<void(int64_t)>& body_;
  Events& events_ = events();
  std::atomic<int64_t> next_{0};
  std::mutex mutex_;
  std::exception_ptr error_;
};

/// Helpers that stay awake for the loops of one thread, their leader. It needs none of them to be there.
class Team {
 public:
  void help() {
    uint64_t seen = 0;
    for (Wait wait; !closed_.load(std::memory_order_acquire);) {
      const uint64_t turn = turn_.load(std::memory_order_acquire);
      if (turn == seen) {
        wait.more();
        continue;
      }
      ++inside_;  // from here on the leader waits, unless it has taken its loop back
      if (Loop* loop = loop_.load()) loop->work();
      --inside_;
      seen = turn;
      wait = {};
    }
  }
  void run(Loop& loop) {
    loop_.store(&loop);
    ++turn_;
    loop.work();
    loop_.store(nullptr);
    for (Wait wait; inside_.load() != 0;) wait.more();
    loop.rethrow();
  }
  void close() { closed_.store(true, std::memory_order_release); }

 private:
  alignas(64) std::atomic<Loop*> loop_{nullptr};
  std::atomic<uint64_t> turn_{0};
  std::atomic<bool> closed_{false};
  alignas(64) std::atomic<int> inside_{0};
};

thread_local Team* team = nullptr;  // which this thread leads

#if defined(__SANITIZE_THREAD__)

// The thread sanitizer does not see how TBB's library hands work over, and reports all of it. Threads of our
// own take its place in such builds: what our loops share is the same. Nothing orders ranges among each
// other, so that a race between two of them shows.
class Helpers {
 public:
  void run(const std::function<void()>& help) { threads_.emplace_back(help); }
  void wait() {
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::vector<std::thread> threads_;
};

void share_out(int64_t ranges, const std::function<void(int64_t)>& body) {
  with_spinning_threads([&] {
    Loop loop{ranges, body};
    team ? team->run(loop) : (loop.work(), loop.rethrow());
  });
}

#else

using Helpers = tbb::task_group;

void share_out(int64_t ranges, const std::function<void(int64_t)>& body) {
  Events& own = events();
  tbb::parallel_for(
      tbb::blocked_range<int64_t>(0, ranges, 1),
      [&](const tbb::blocked_range<int64_t>& part) {
        const As in_loop{Inside::loop, own};
        for (int64_t r = part.begin(); r < part.end(); ++r) body(r);
      },
      tbb::simple_partitioner{});
}

#endif

void for_each_range(int64_t ranges, const std::function<void(int64_t)>& body) {
  if (inside == Inside::team_loop) {
    for (int64_t r = 0; r < ranges; ++r) body(r);
  } else if (team) {
    Loop loop{ranges, body};
    team->run(loop);
  } else {
    share_out(ranges, body);
  }
}

}  // namespace

void set_threads(int threads) {
  limited_to = threads > 0 ? threads : 0;
  limit.reset();
  if (limited_to)
    limit = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                  static_cast<size_t>(limited_to));
}

int threads() {
  return limited_to ? limited_to : tbb::info::default_concurrency();
}

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

void with_spinning_threads(const std::function<void()>& work) {
  if (team || inside != Inside::nothing || threads() == 1) return work();
  struct Awake {
    Team own;
    Helpers helpers;
    int count = 0;
    Awake() = default;
    Awake(const Awake&) = delete;
    Awake& operator=(const Awake&) = delete;
    ~Awake() {
      team = nullptr;
      own.close();
      if (count > 0) helpers.wait();
    }
  } awake;
  try {
    for (; awake.count + 1 < threads(); ++awake.count) awake.helpers.run([&awake] { awake.own.help(); });
  } catch (const std::exception&) {  // no memory for a thread: it goes without
  }
  team = &awake.own;
  work();
}

}  // namespace snug

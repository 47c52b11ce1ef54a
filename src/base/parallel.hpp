#pragma once

#include <cstdint>
#include <functional>

namespace snug {

/// Limits every parallel loop of the process; 0 means all cores. Call before the first loop.
void set_threads(int threads);
int threads();

/// Calls body(i) for 0 <= i < count in no particular order, `grain` neighbours to a task; exceptions pass through.
/// Nests: an inner loop shares the same threads.
void parallel_for(int64_t count, const std::function<void(int64_t)>& body, int64_t grain = 1);

/// The same over ranges: body(begin, end) with end - begin <= grain, ranges cut at multiples of grain.
void parallel_ranges(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

/// Runs `work` on this thread. Its parallel loops find the other threads awake: they begin in less than a
/// microsecond, where threads that went to sleep take tens. For a quick series of short loops, as one forward
/// pass is; what waits uses its core. Inside such a loop nothing more is shared out; inside any other loop
/// this is work().
void with_spinning_threads(const std::function<void()>& work);

}  // namespace snug

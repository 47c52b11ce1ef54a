#include "base/parallel.hpp"

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>

#include <algorithm>
#include <memory>

namespace snug {
namespace {

std::unique_ptr<tbb::global_control> limit;
int limited_to = 0;

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
  tbb::parallel_for(
      tbb::blocked_range<int64_t>(0, ranges, 1),
      [&](const tbb::blocked_range<int64_t>& part) {
        for (int64_t r = part.begin(); r < part.end(); ++r) body(r * grain, std::min(count, (r + 1) * grain));
      },
      tbb::simple_partitioner{});
}

}  // namespace snug

#pragma once

#include <cstdint>
#include <string_view>

#include "base/events.hpp"

namespace snug {

/// Events that also want to know how much of a model's weights the work reads.
class ReadCounter {
 public:
  virtual ~ReadCounter() = default;
  /// A stage has read so many bytes of weights. From any thread.
  virtual void count_read(std::string_view stage, int64_t bytes) = 0;
};

/// Tells whom the work of this thread reports to, if he counts.
inline void count_read(std::string_view stage, int64_t bytes) {
  if (auto* counter = dynamic_cast<ReadCounter*>(&events())) counter->count_read(stage, bytes);
}

}  // namespace snug

#pragma once

#include <cstddef>
#include <cstdint>

namespace snug {

/// Zeroed memory for much data that is read over and over: in large pages where the system has them, so that
/// reading does not stop to look addresses up. Begins at a page.
class LargeMemory {
 public:
  LargeMemory() = default;
  explicit LargeMemory(int64_t bytes);  // throws std::bad_alloc
  ~LargeMemory();
  LargeMemory(LargeMemory&& other) noexcept;
  LargeMemory& operator=(LargeMemory&& other) noexcept;

  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace snug

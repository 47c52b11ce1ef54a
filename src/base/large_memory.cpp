#include "base/large_memory.hpp"

#include <sys/mman.h>

#include <new>
#include <utility>

namespace snug {

LargeMemory::LargeMemory(int64_t bytes) : size_{static_cast<size_t>(bytes)} {
  if (bytes == 0) return;
  void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc{};
  data_ = static_cast<std::byte*>(memory);
#if defined(MADV_HUGEPAGE)
  madvise(memory, size_, MADV_HUGEPAGE);  // a wish
#endif
}

LargeMemory::~LargeMemory() {
  if (data_) munmap(data_, size_);
}

LargeMemory::LargeMemory(LargeMemory&& other) noexcept
    : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}

LargeMemory& LargeMemory::operator=(LargeMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace snug

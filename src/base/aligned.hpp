#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace snug {

/// Allocates whole cache lines: a row of weights that vectors are stored to should not begin in the middle of
/// one.
template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) noexcept {}
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kLine)); }
  void deallocate(T* p, size_t) noexcept { ::operator delete(p, kLine); }
  bool operator==(const LineAllocator&) const = default;
};

using FloatRow = std::vector<float, LineAllocator<float>>;

}  // namespace snug

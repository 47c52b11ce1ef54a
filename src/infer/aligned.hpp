#pragma once

#include <new>
#include <utility>
#include <vector>

#include "base/aligned.hpp"

namespace snug::infer {

/// Memory that begins at a cache line and is not written before its first use: resize() leaves new elements
/// as they are.
template <class T>
struct UnwrittenAllocator : LineAllocator<T> {
  UnwrittenAllocator() = default;
  template <class U>
  explicit UnwrittenAllocator(const UnwrittenAllocator<U>&) noexcept {}

  template <class U>
  void construct(U* at) noexcept {
    ::new (static_cast<void*>(at)) U;
  }
  template <class U, class... Arguments>
  void construct(U* at, Arguments&&... arguments) {
    ::new (static_cast<void*>(at)) U(std::forward<Arguments>(arguments)...);
  }
};

template <class T>
using AlignedVector = std::vector<T, UnwrittenAllocator<T>>;

}  // namespace snug::infer

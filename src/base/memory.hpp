#pragma once

#include <cstdint>

namespace snug {

/// Bytes of memory that this program can still take: without swapping, as the kernel estimates it, and within
/// its own limit.
int64_t available_memory();

}  // namespace snug

#pragma once

#include <cstdint>

namespace snug {

/// Bytes of memory that programs can still take without swapping, as the kernel estimates it.
int64_t available_memory();

}  // namespace snug

#pragma once

#include <cstdint>
#include <string>

namespace snug {

/// Bytes of memory that this program can still take: without swapping, as the kernel estimates it, and within
/// its own limit.
int64_t available_memory();

/// Says, where a model of so many bytes does not fit, that it is read from the disk again `when`, e.g. "for every
/// chunk".
void tell_if_larger_than_memory(int64_t bytes, const std::string& when);

/// From now on memory that is freed stays with the process: for work that frees and takes the same large pieces
/// many times a second, where giving them back and clearing them anew costs a tenth of the time.
void keep_freed_memory();

}  // namespace snug

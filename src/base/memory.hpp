#pragma once

#include <cstdint>
#include <string>

namespace snug {

/// What memory is wanted for. The one table of how much of what is free each may take is in memory.cpp.
enum class MemoryUse {
  all,        // what is needed to go on at all
  context,    // keys and values of a context that nobody asked for
  documents,  // sequences written side by side
  hessians,   // second moments that are collected together
  repacked,   // a second copy of weights, in an order that is faster to multiply
};

/// Bytes that this program may take for `use`: a share of what is free without swapping, as the kernel estimates
/// it, and within the process's own limit.
int64_t memory_for(MemoryUse use);

/// Says, where a model of so many bytes does not fit, that it is read from the disk again `when`, e.g. "for every
/// chunk".
void tell_if_larger_than_memory(int64_t bytes, const std::string& when);

/// From now on memory that is freed stays with the process: for work that frees and takes the same large pieces
/// many times a second, where giving them back and clearing them anew costs a tenth of the time.
void keep_freed_memory();

}  // namespace snug

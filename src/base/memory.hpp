#pragma once

#include <cstdint>
#include <string>

namespace snug {

/// What memory is wanted for. The one table of how much of what is free each may take is in memory.cpp.
enum class MemoryUse {
  all,        // what is needed to go on at all
  context,    // keys and values of a context that nobody asked for
  documents,  // sequences written side by side
  hidden_states,  // of sequences that go through a model together
  hessians,   // second moments that are collected together
  encodings,  // tensors in formats of other recipes than the one at hand, or decoded
  repacked,   // a second copy of weights, in an order that is faster to multiply
};

/// From now on memory_for() shares out so many bytes instead of what is free: what `--memory` says. 0: what is free.
void set_memory_limit(int64_t bytes);

/// Bytes that this program may take for `use`: a share of what is free without swapping, as the kernel estimates
/// it, and within the process's own limit.
int64_t memory_for(MemoryUse use);

/// Bytes that are free without swapping and within the process's own limit, whatever --memory says.
int64_t free_memory();

/// Whether a model of so many bytes stays in memory while it is read again and again. Where not, all of a text goes
/// through a layer before the next is read.
bool stays_in_memory(int64_t model_bytes);

/// Says, where a model of so many bytes does not fit, that it is read from the disk again `when`, e.g. "for every
/// chunk".
void tell_if_larger_than_memory(int64_t bytes, const std::string& when);

/// From now on memory that is freed stays with the process: for work that frees and takes the same large pieces
/// many times a second, where giving them back and clearing them anew costs a tenth of the time.
void keep_freed_memory();

}  // namespace snug

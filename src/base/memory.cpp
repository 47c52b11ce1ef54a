#include "base/memory.hpp"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <limits>
#include <string>

#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"

namespace snug {
namespace {

int64_t free_in_machine() {
  std::ifstream in{"/proc/meminfo"};
  std::string name;
  for (int64_t kib = 0; in >> name >> kib; in.ignore(std::numeric_limits<std::streamsize>::max(), '\n'))
    if (name == "MemAvailable:") return kib * 1024;
  return static_cast<int64_t>(sysconf(_SC_AVPHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
}

/// What is left of a limit on the process's address space (ulimit -v).
int64_t free_in_process() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return std::numeric_limits<int64_t>::max();
  int64_t pages = 0;
  std::ifstream{"/proc/self/statm"} >> pages;
  return std::max<int64_t>(0, static_cast<int64_t>(limit.rlim_cur) - pages * sysconf(_SC_PAGE_SIZE));
}

std::atomic<int64_t> limit{0};  // what a person allowed; 0: whatever is free

}  // namespace

void set_memory_limit(int64_t bytes) {
  limit = bytes;
}

int64_t free_memory() {
  return std::min(free_in_machine(), free_in_process());
}

bool stays_in_memory(int64_t model_bytes) {
  return model_bytes <= memory_for(MemoryUse::all);
}

int64_t memory_for(MemoryUse use) {
  const int64_t available = limit > 0 ? std::min(limit.load(), free_in_process()) : free_memory();
  switch (use) {
    case MemoryUse::all:
      break;
    case MemoryUse::context:
    case MemoryUse::hessians:
      return available / 2;
    case MemoryUse::hidden_states:
    case MemoryUse::documents:
    case MemoryUse::encodings:
      return available / 4;
    case MemoryUse::repacked:
      return available / 8 * 7;
  }
  return available;
}

void tell_if_larger_than_memory(int64_t bytes, const std::string& when) {
  if (const int64_t memory = memory_for(MemoryUse::all); bytes > memory)
    log_line(str("the model takes ", show_size(bytes), " and ", show_size(memory),
               " of memory are free: it is read from the disk again ", when));
}

void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most it takes
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

}  // namespace snug

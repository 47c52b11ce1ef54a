#include "base/memory.hpp"

#include <unistd.h>

#include <fstream>
#include <limits>
#include <string>

namespace snug {

int64_t available_memory() {
  std::ifstream in{"/proc/meminfo"};
  std::string name;
  for (int64_t kib = 0; in >> name >> kib; in.ignore(std::numeric_limits<std::streamsize>::max(), '\n'))
    if (name == "MemAvailable:") return kib * 1024;
  return static_cast<int64_t>(sysconf(_SC_AVPHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
}

}  // namespace snug

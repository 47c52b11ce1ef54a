// Merges any two files as imatrix files: an Error, or a file that reads as one. The first two bytes say how
// long the first is.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>

#include "base/str.hpp"
#include "imatrix/imatrix_merge.hpp"
#include "imatrix/imatrix_statistics.hpp"
#include "imatrix/hessian.hpp"
#include "snug/error.hpp"

namespace {

using namespace snug;
using std::filesystem::path;

const path& folder() {
  static const path made = [] {
    const path name = std::filesystem::temp_directory_path() / str("snug-fuzz-merge-", getpid());
    std::filesystem::create_directories(name);
    return name;
  }();
  return made;
}

path saved(const char* name, std::span<const uint8_t> bytes) {
  std::ofstream{folder() / name, std::ios::binary}.write(reinterpret_cast<const char*>(bytes.data()),
                                                         static_cast<std::streamsize>(bytes.size()));
  return folder() / name;
}

bool merged(std::span<const uint8_t> bytes, const path& out) {
  const size_t first = std::min<size_t>(bytes[0] + size_t{256} * bytes[1], bytes.size() - 2);
  const std::vector<path> inputs{saved("a", bytes.subspan(2, first)), saved("b", bytes.subspan(2 + first))};
  try {
    merge_imatrices(inputs, out, Existing::replace);
  } catch (const Error&) {
    return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const path out = folder() / "out";
  if (size < 2 || !merged({data, size}, out)) return 0;
  try {
    statistics_of(read_imatrix(out), 2);
    const Hessians moments{out};
  } catch (const Error&) {
    std::abort();  // what a merge writes can be read
  }
  return 0;
}

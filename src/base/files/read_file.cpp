#include "base/files/read_file.hpp"

#include <fstream>
#include <ios>
#include <iterator>

#include "snug/error.hpp"

namespace snug {

std::string read_file(const std::filesystem::path& path, const std::string& remedy) {
  std::ifstream in{path, std::ios::binary};
  if (!in) throw io_error("open the file", path.string(), remedy);
  try {
    return {std::istreambuf_iterator<char>{in}, {}};
  } catch (const std::ios_base::failure&) {  // a folder opens, and cannot be read
    throw io_error("read the file", path.string(), remedy);
  }
}

}  // namespace snug

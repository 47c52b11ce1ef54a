#include "base/read_file.hpp"

#include <fstream>
#include <iterator>

#include "snug/error.hpp"

namespace snug {

std::string read_file(const std::filesystem::path& path, const std::string& remedy) {
  std::ifstream in{path, std::ios::binary};
  if (!in) throw io_error("open the file", path.string(), remedy);
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  if (in.bad()) throw io_error("read the file", path.string());
  return text;
}

}  // namespace snug

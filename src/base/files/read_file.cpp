#include "base/files/read_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/str.hpp"
#include "base/units.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return number_; }

 private:
  int number_;
};

int open_file(const std::filesystem::path& path, int flags, const std::string& remedy) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
  if (file < 0) throw io_error("open the file", path.string(), remedy);
  return file;
}

[[noreturn]] void refuse_long(const std::filesystem::path& path) {
  throw Error{str("the file is longer than ", show_size(kMaxReadBytes), ", and none that is read whole is so long"),
              path.string(), "name another file, or a part of it", Fault::io};
}

std::string read_to_end(int file, const std::filesystem::path& path, const std::string& remedy) {
  constexpr size_t kAtOnce = size_t{1} << 16;
  std::string text;
  for (size_t end = 0;;) {
    if (std::cmp_greater(end, kMaxReadBytes)) refuse_long(path);
    if (text.size() < end + kAtOnce) text.resize(std::max(2 * end, end + kAtOnce));
    const ssize_t n = read(file, text.data() + end, text.size() - end);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw io_error("read the file", path.string(), remedy);
    end += static_cast<size_t>(n);
    if (n > 0) continue;
    text.resize(end);
    return text;
  }
}

void refuse_long_file(int file, const std::filesystem::path& path) {
  struct stat info {};
  if (fstat(file, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > kMaxReadBytes) refuse_long(path);
}

std::string read_whole(int number, const std::filesystem::path& path, const std::string& remedy) {
  const Descriptor file{number};
  refuse_long_file(file, path);
  return read_to_end(file, path, remedy);
}

}  // namespace

int open_regular_file(const std::filesystem::path& path, const std::string& remedy) {
  const int file = open_file(path, O_NONBLOCK, remedy);
  struct stat info {};
  if (fstat(file, &info) == 0 && S_ISREG(info.st_mode)) return file;
  close(file);
  throw Error{"not a regular file", path.string(), "name a file, not a folder, a pipe or a device", Fault::io};
}

std::string read_file(const std::filesystem::path& path, const std::string& remedy) {
  return read_whole(open_regular_file(path, remedy), path, remedy);
}

std::string read_text(const std::filesystem::path& path) {
  constexpr const char* kRemedy = "check the name";
  return read_whole(open_file(path, 0, kRemedy), path, kRemedy);
}

}  // namespace snug

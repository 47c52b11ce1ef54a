#include "base/files/output_path.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

/// What lies under a path, links followed; nothing where there is nothing.
std::optional<struct stat> look_at(const fs::path& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) return info;
  if (errno == ENOENT || errno == ENOTDIR) return {};
  throw io_error("look at the output", path.string(), "name another output");
}

/// What cannot be replaced by a file, in words; nullptr for a file.
const char* special_kind(const struct stat& info) {
  if (S_ISREG(info.st_mode)) return nullptr;
  if (S_ISDIR(info.st_mode)) return "a folder";
  if (S_ISFIFO(info.st_mode)) return "a pipe";
  if (S_ISSOCK(info.st_mode)) return "a socket";
  return "a device";
}

/// What is open under /proc/self/fd, say, looks like a link and has a target that is no path.
bool is_same(const struct stat& wanted, const fs::path& target) {
  const auto found = look_at(target);
  return found && found->st_dev == wanted.st_dev && found->st_ino == wanted.st_ino;
}

}  // namespace

fs::path without_last_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path{"."};
}

fs::path follow_links(fs::path path) {
  constexpr int kLongestChain = 40;  // the system's own limit
  const fs::path first = path;
  for (int i = 0; i < kLongestChain; ++i) {
    std::error_code failed;
    if (!fs::is_symlink(path, failed)) return path;
    const fs::path target = fs::read_symlink(path, failed);
    if (failed) return path;
    path = target.is_absolute() ? target : folder_of(path) / target;
  }
  throw Error{"the links of the path lead in a circle", first.string(), "name another file", Fault::io};
}

void check_folder_of(const fs::path& path) {
  const fs::path folder = folder_of(path);
  struct stat info {};
  if (stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
    throw Error{"the folder of the output does not exist", path.string(),
                str("make the folder ", folder.string(), " first, or name another output"), Fault::io};
  if (faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    throw io_error("write to the folder of the output", folder.string(), "name an output in another folder");
}

fs::path output_path(const fs::path& path, Existing existing) {
  if (!path.has_filename())
    throw Error{"the output is a folder", path.string(), "name a file in it", Fault::io};
  const auto found = look_at(path);
  const char* special = found ? special_kind(*found) : nullptr;
  const fs::path target = special ? path : follow_links(path);
  if (special || (found && !is_same(*found, target)))
    throw Error{str("the output is ", special ? special : "no file with a name", ", which is not replaced"),
                path.string(), "name a file", Fault::io};
  if (found && existing == Existing::refuse)
    throw Error{"the output exists already", path.string(), "name another output, or ask for it to be replaced",
                Fault::io};
  check_folder_of(target);
  return target;
}

}  // namespace snug
